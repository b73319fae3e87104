"""Functional construction that leaves the classes of a user's models alone."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras


def _functional_class() -> type[Any]:
    inputs = keras.Input((1,))
    return type(keras.Model(inputs, inputs))


Functional = _functional_class()

_LEAVES: dict[type[Any], type[Any]] = {}


class TwoWayModel(keras.Model):
    """A Keras model that is built functionally or as a subclass, in one process.

    Keras makes `Model(inputs, outputs)` functional by replacing `keras.Model` among the
    bases of the class, and of its bases, for the rest of the process; a subclass with
    its own `call()` then no longer works. Here functional construction gives an instance
    of a leaf class that has `Functional` among its bases from the start.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if not issubclass(cls, Functional) and _is_functional_call(args, kwargs):
            return leaf_of(cls)(*args, **kwargs)
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Python comes here again after `__new__` returned a finished leaf.
        if "_is_constructed" in self.__dict__:
            return
        if _is_functional_call(args, kwargs):
            # Here first if a subclass makes its tensors in its own `__init__`.
            self.__class__ = leaf_of(type(self))
        if isinstance(self, Functional):
            Functional.__init__(self, *args, **kwargs)
        else:
            super().__init__(*args, **kwargs)
        self.__dict__["_is_constructed"] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not issubclass(cls, Functional):
            # Now, or a new process could not load what an old one saved.
            leaf_of(cls)


def leaf_of(cls: type[Any]) -> type[Any]:
    """The subclass of `cls` whose instances are functional, made once; `cls` if it is."""
    if issubclass(cls, Functional):
        return cls
    if cls not in _LEAVES:
        leaf = type(f"Functional{cls.__name__}", (cls, Functional), {})
        leaf.__module__ = cls.__module__
        package = cls.__module__.partition(".")[0]
        _LEAVES[cls] = keras.saving.register_keras_serializable(package)(leaf)
    return _LEAVES[cls]


def _is_functional_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Are these the arguments of `Model(inputs, outputs)`? A subclass may have others."""
    given = [
        *args[:2],
        *(kwargs[name] for name in ("inputs", "outputs") if name in kwargs),
    ]
    return len(given) == 2 and all(
        isinstance(tensor, keras.KerasTensor)
        for structure in given
        for tensor in keras.tree.flatten(structure)
    )
