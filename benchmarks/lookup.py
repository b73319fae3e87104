"""What embedding and lookups cost over the backend's bare forward pass.

    KERAS_BACKEND=jax python -m benchmarks.lookup

Bulk: `model.embed` of many pictures against a loop over the compiled forward pass
(`jax.jit`, `tf.function`, torch in inference mode) with the same batches; at most 1.15x.
One picture: `model.single_lookup` against twice such a pass of one row plus the bare
search; at most 1x. All variants run in turns in one process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import times_summary, write_report
from keras_similarity.architectures import SmallConvSim
from keras_similarity.backend import framework, ops
from keras_similarity.search import LinearSearch

ROWS, BATCH, INDEXED, K = 8192, 256, 10_000, 5
BULK_LIMIT, SINGLE_LIMIT = 1.15, 1.0


def bare_forward(model: Any) -> Callable[[Any], Any]:
    """The compiled forward pass that a user of the backend would write."""
    if framework() == "jax":
        import jax

        weights = (
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
        )
        forward = jax.jit(
            lambda t, n, x: model.stateless_call(t, n, x, training=False)[0]
        )
        return lambda x: forward(*weights, x)
    if framework() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    import torch

    def forward(x: Any) -> Any:
        with torch.inference_mode():
            return model(x, training=False)

    return forward


def medians_in_turns(
    variants: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of each variant; the first round, which compiles, does not count."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if repeat:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: times_summary(found) for name, found in times.items()}


def main() -> int:
    """Measures, prints and writes; returns 1 if a limit is exceeded."""
    random = np.random.default_rng(0)
    pictures = random.random((ROWS, 32, 32, 1), dtype="float32")
    model = SmallConvSim((32, 32, 1))
    model.compile()
    indexed = random.normal(size=(INDEXED, 64)).astype("float32")
    search = LinearSearch("cosine", 64)
    search.batch_add(indexed, np.arange(INDEXED))
    model.create_index()
    model.index(random.random((INDEXED, 32, 32, 1), dtype="float32"), verbose=0)
    forward = bare_forward(model)
    one = pictures[:1]
    query = model.embed(one)

    def bare_bulk() -> Any:
        return np.concatenate(
            [
                ops.convert_to_numpy(forward(pictures[start : start + BATCH]))
                for start in range(0, ROWS, BATCH)
            ]
        )

    np.testing.assert_allclose(bare_bulk()[:100], model.embed(pictures[:100]), atol=1e-5)
    bulk = medians_in_turns(
        {"bare": bare_bulk, "embed": lambda: model.embed(pictures)}, repeats=7
    )
    single = medians_in_turns(
        {
            "bare": lambda: ops.convert_to_numpy(forward(one)),
            "search": lambda: search.batch_lookup(query, k=K),
            "single_lookup": lambda: model.single_lookup(pictures[0], k=K),
        },
        repeats=200,
    )
    bulk_ratio = bulk["embed"]["median"] / bulk["bare"]["median"]
    allowed = 2 * single["bare"]["median"] + single["search"]["median"]
    single_ratio = single["single_lookup"]["median"] / allowed
    rows = [
        {"what": f"{ROWS} pictures, {name}", "median ms": row["median"]}
        for name, row in bulk.items()
    ]
    rows[-1] |= {"ratio": bulk_ratio, "limit": BULK_LIMIT}
    rows += [
        {"what": f"1 picture, {name}", "median ms": row["median"]}
        for name, row in single.items()
    ]
    rows[-1] |= {"ratio": single_ratio, "limit": SINGLE_LIMIT}
    write_report(
        f"lookup-{framework()}",
        rows,
        indexed=INDEXED,
        k=K,
        ratio_of_one="single_lookup / (2 bare passes of one row + bare search)",
    )
    return int(bulk_ratio > BULK_LIMIT or single_ratio > SINGLE_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
