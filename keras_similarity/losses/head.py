"""Where the weights and the state of a loss live."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import keras


@keras.saving.register_keras_serializable("keras_similarity")
class LossHead(keras.layers.Layer):
    """Holds a loss's variables (proxies, memories, seeds); is never called.

    Keras trains, saves and restores the variables of layers, not those of losses. A
    similarity model attaches the heads of its losses when it is compiled; in a loop of
    your own `loss.variables` hands the variables out.

    Args:
        learning_rate_multiplier: The variables learn this many times as fast as the
            model's, under `fit` of a similarity model.
        **kwargs: Those of `keras.layers.Layer`.

    Raises:
        ValueError: If the multiplier is negative or not finite.
    """

    def __init__(self, learning_rate_multiplier: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learning_rate_multiplier = learning_rate_multiplier
        self.built = True  # Before Keras tries to build it.

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "learning_rate_multiplier" and not 0 <= value < math.inf:
            raise ValueError(
                "`learning_rate_multiplier` must be a finite number, not negative. "
                f"Received: {value}."
            )
        super().__setattr__(name, value)
