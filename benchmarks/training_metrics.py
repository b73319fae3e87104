"""What metrics of distances cost in training.

    KERAS_BACKEND=jax python -m benchmarks.training_metrics

A step of `fit` with all nine metrics of `training_metrics`, one with a `TrainingDoctor`,
and one without, taking turns: the demo's network on pictures of the size of glyphs,
batches of 64. Beside them the step of a network so small that they can be seen, and the
update of the metrics alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import times_summary, write_report
from keras_similarity import losses, training_metrics
from keras_similarity.backend import framework, keras, ops
from keras_similarity.callbacks import TrainingDoctor
from keras_similarity.cli.recipe import Recipe
from keras_similarity.models import SimilarityModel

BATCH, STEPS, ROUNDS = 64, 40, 7
NAMES = [
    "dist_gap",
    *[f"{how}_{side}" for how in ("max", "avg", "min", "sum") for side in ("pos", "neg")],
]
# A step may take so many times as long with them.
LIMIT = 1.1


def make_metrics() -> list[Any]:
    """One of each."""
    return [getattr(training_metrics, name)("cosine") for name in NAMES]


def demo_model(metrics: list[Any]) -> Any:
    """The demo's network, of the pictures of glyphs."""
    recipe = Recipe(seed=0)
    model = recipe.make_model((28, 28, 1))
    model.compile("adam", loss=losses.MultiSimilarityLoss(), metrics=metrics)
    return model


def small_model(metrics: list[Any]) -> Any:
    """Two small layers."""
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(64, activation="relu")(x)
    model = SimilarityModel(inputs, keras.layers.Dense(32)(x))
    model.compile("adam", loss=losses.MultiSimilarityLoss(), metrics=metrics)
    return model


def step_times(make: Callable[[list[Any]], Any]) -> dict[str, list[float]]:
    """Milliseconds of a step of `fit`, with and without, in turns."""
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH * STEPS, 28, 28, 1)).astype("float32")
    y = np.tile(np.arange(16), BATCH * STEPS // 16)
    models = {"without": make([]), "metrics": make(make_metrics()), "doctor": make([])}
    doctor = TrainingDoctor()
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(ROUNDS + 1):
        for name, model in models.items():
            start = time.perf_counter()
            callbacks = [doctor] if name == "doctor" else []
            model.fit(
                x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks
            )
            if turn:  # The first one compiles.
                times[name].append(1e3 * (time.perf_counter() - start) / STEPS)
    return times


def update_times() -> list[float]:
    """Milliseconds of an update of all metrics by hand, nothing compiled."""
    random = np.random.default_rng(0)
    labels = ops.convert_to_tensor(np.arange(BATCH, dtype="int32") % 16)
    metrics = make_metrics()
    times = []
    for _ in range(ROUNDS * STEPS):
        rows = random.normal(size=(BATCH, 64)).astype("float32")
        embeddings = ops.convert_to_tensor(rows)
        start = time.perf_counter()
        for metric in metrics:
            metric.update_state(labels, embeddings)
        times.append(1e3 * (time.perf_counter() - start))
    return times[STEPS:]


def main() -> int:
    """Measures, prints and writes; returns 1 if the demo's step is slowed too much."""
    rows = []
    for what, make in (("demo's network", demo_model), ("small network", small_model)):
        times = {name: times_summary(each) for name, each in step_times(make).items()}
        row = {"what": f"step of fit, {what}", "backend": framework()}
        for name, summary in times.items():
            row |= {f"{name} [ms]": summary["median"]}
        bare = times.pop("without")["median"]
        ratios = {f"{name}, ratio": each["median"] / bare for name, each in times.items()}
        rows.append({**row, **ratios})
    alone = times_summary(update_times())
    rows.append(
        {
            "what": "update by hand",
            "backend": framework(),
            "metrics [ms]": alone["median"],
        }
    )
    write_report(
        f"training_metrics-{framework()}",
        rows,
        metrics=NAMES,
        batch=BATCH,
        steps=STEPS,
        rounds=ROUNDS,
    )
    return int(max(rows[0]["metrics, ratio"], rows[0]["doctor, ratio"]) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
