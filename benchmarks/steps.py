"""A loss's value and gradient as a step that can be timed, on any backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.backend import framework, ops

Step = Callable[[], Any]


def modes() -> tuple[str, ...]:
    """How a step runs on the backend: its columns in a table."""
    return {
        "jax": ("jitted",),
        "torch": ("eager", "compiled"),
        "tensorflow": ("graph",),
    }[framework()]


def make_step(function: Callable[[Any], Any], x: Any, mode: str) -> Step:
    """A call without arguments: value and gradient of the scalar `function(x)`.

    It returns when the device is done.
    """
    tensor = ops.convert_to_tensor(x)
    if framework() == "jax":
        import jax

        compiled = jax.jit(jax.value_and_grad(function))
        return lambda: jax.block_until_ready(compiled(tensor))
    if framework() == "torch":
        return _torch_step(function, tensor, mode)
    import tensorflow as tf

    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return value, tape.gradient(value, x)

    return lambda: step(tensor)[1].numpy()


def torch_step(function: Callable[[Any], Any], x: Any) -> Step:
    """The step of a torch function, whatever backend Keras runs on: a peer's."""
    import torch

    return _torch_step(function, torch.tensor(np.asarray(x)), "eager")


def _torch_step(function: Callable[[Any], Any], x: Any, mode: str) -> Step:
    import torch

    x = x.detach().requires_grad_()
    if mode == "compiled":
        torch._dynamo.reset()
        function = torch.compile(function)

    def step() -> Any:
        x.grad = None
        value = function(x)
        if value.requires_grad:
            value.backward()
        return value

    return step


def threads() -> int:
    """How many threads torch computes with."""
    import torch

    return torch.get_num_threads()


def times_in_turns(
    steps: Mapping[str, Step], repeats: int, budget: float = 20.0
) -> dict[str, list[float]]:
    """Milliseconds of each step, taking turns; the first round does not count.

    A step that has used up `budget` seconds takes no further turn.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            if sum(times[name]) > 1e3 * budget:
                continue
            start = time.perf_counter()
            step()
            elapsed = 1e3 * (time.perf_counter() - start)
            if repeat or elapsed > 1e3 * budget:
                times[name].append(elapsed)
    return times


def peak_mib(step: Step) -> float | None:
    """How much the process's memory grows at most while a step runs; on Linux only."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    step()  # Compiled and warm.
    reset.write_text("5")
    before = _kib(status, "VmRSS")
    step()
    return (_kib(status, "VmHWM") - before) / 1024


def _kib(status: Path, field: str) -> float:
    line = next(row for row in status.read_text().splitlines() if row.startswith(field))
    return float(line.split()[1])
