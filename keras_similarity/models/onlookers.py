"""Callbacks that want to see what a model is trained on."""

from __future__ import annotations

import inspect
from typing import Any

from keras_similarity.backend import keras


def show_data(*args: Any, **kwargs: Any) -> None:
    """Shows the data of a call of `fit` to those of its callbacks that ask for it.

    Keras shows callbacks a model, and never the data. One with a method
    `show_data(x, y, batch_size)` is shown them.

    Args:
        *args: Arguments of the call. So are `**kwargs`.
    """
    call = inspect.signature(keras.Model.fit).bind(None, *args, **kwargs).arguments
    for callback in keras.tree.flatten(call.get("callbacks")):
        if hasattr(callback, "show_data"):
            callback.show_data(call.get("x"), call.get("y"), call.get("batch_size"))
