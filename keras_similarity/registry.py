"""Names for classes: string aliases, configs, and Keras' own serialization."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from keras_similarity.backend import keras_problem, require_keras

T = TypeVar("T")
C = TypeVar("C")

PACKAGE = "keras_similarity"

_custom_objects: ContextVar[Mapping[str, Any]] = ContextVar(
    "custom_objects", default=MappingProxyType({})
)


class Registry(Generic[T]):
    """The classes of one kind, found by alias (in any case) or by class name.

    Args:
        kind: What a member is called in messages, e.g. `"distance"`.
        base: The class that all members derive from.

    Example:
        >>> from keras_similarity.registry import Registry
        >>> class Fruit:
        ...     pass
        >>> fruits = Registry("fruit", Fruit)
        >>> @fruits.register("pomme")
        ... class Apple(Fruit):
        ...     def get_config(self):
        ...         return {}
        >>> type(fruits.get("POMME")).__name__
        'Apple'
        >>> fruits.serialize(Apple())
        {'class_name': 'Apple', 'config': {}}
    """

    def __init__(self, kind: str, base: type[T]) -> None:
        self.kind = kind
        self.base = base
        self._classes: dict[str, type[T]] = {}
        self._aliases: dict[str, type[T]] = {}

    def register(self, *aliases: str) -> Callable[[type[C]], type[C]]:
        """Class decorator: adds a class under its name and `aliases`.

        Where Keras can be used the class is registered there too, so that models
        that hold one are saved and loaded.
        """

        def add(cls: type[C]) -> type[C]:
            member = cast("type[T]", cls)  # `C` keeps the class's own type for users.
            self._classes[cls.__name__] = member
            for alias in (*aliases, cls.__name__):
                self._aliases[alias.lower()] = member
            return register_serializable(cls)

        return add

    def names(self) -> list[str]:
        """All aliases, sorted."""
        return sorted(self._aliases)

    def get(self, identifier: T | str | Mapping[str, Any], **kwargs: Any) -> T:
        """Returns the object that `identifier` means.

        Args:
            identifier: An alias or class name, a config as `serialize` makes it, or
                an object of this kind, which is returned as it is.
            **kwargs: Constructor arguments, where an alias is given.

        Raises:
            ValueError: If no class is known by the name.
            TypeError: If `identifier` is none of the above.
        """
        if isinstance(identifier, str):
            return self.find(identifier)(**kwargs)
        if isinstance(identifier, Mapping):
            return self.deserialize(identifier)
        if isinstance(identifier, self.base):
            return identifier
        raise TypeError(
            f"A {self.kind} must be given as an object, a name or a config. Received: "
            f"{identifier!r} of type {type(identifier).__name__}."
        )

    def serialize(self, member: Any) -> dict[str, Any]:
        """Config of an object, as plain data: its class and its arguments."""
        cls = type(member)
        config = {"class_name": cls.__name__, "config": member.get_config()}
        if self._classes.get(cls.__name__) is not cls and keras_problem() is None:
            name = require_keras().saving.get_registered_name(cls)
            if name != cls.__name__:  # A user's class, registered with Keras only.
                config["registered_name"] = name
        return config

    def deserialize(
        self, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> T:
        """The object that `serialize` (or `keras.saving.serialize_keras_object`) wrote.

        Raises:
            ValueError: If the class is not known. Register your own class, or name it
                in `custom_objects`, or in a `custom_objects_scope` of this module or of
                Keras.
        """
        name = config.get("class_name")
        if not isinstance(name, str):
            raise ValueError(
                f"The config of a {self.kind} must name its class under 'class_name'. "
                f"Received: {dict(config)!r}."
            )
        cls: Any = {**_custom_objects.get(), **(custom_objects or {})}.get(name)
        cls = cls or _known_to_keras(config.get("registered_name"), name)
        cls = cls or self._classes.get(name)
        if cls is None and "module" in config and keras_problem() is None:
            # A user's class, registered with Keras and not here.
            return require_keras().saving.deserialize_keras_object(dict(config))
        cls = cls or self.find(name)
        arguments = dict(config.get("config") or {})
        if hasattr(cls, "from_config"):
            return cls.from_config(arguments)
        return cls(**arguments)

    def find(self, name: str) -> type[T]:
        """The class of an alias or a class name.

        Raises:
            ValueError: If there is none.
        """
        cls = self._aliases.get(name.lower())
        if cls is None:
            close = difflib.get_close_matches(name.lower(), self._aliases, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"Unknown {self.kind}: {name!r}.{hint} Known: {', '.join(self.names())}."
            )
        return cls


@contextlib.contextmanager
def custom_objects_scope(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Inside it, configs may name these classes.

    Args:
        objects: Class name -> class.
    """
    token = _custom_objects.set({**_custom_objects.get(), **(objects or {})})
    try:
        yield
    finally:
        _custom_objects.reset(token)


def _known_to_keras(*names: str | None) -> Any:
    """The class that was registered with Keras, or is in its scope, under a name."""
    if keras_problem() is not None:
        return None
    find = require_keras().saving.get_registered_object
    return next((found for name in names if name and (found := find(name))), None)


def register_serializable(cls: C) -> C:
    """Decorator: lets Keras save and load a class or function, where it can be used."""
    if keras_problem() is None:
        require_keras().saving.register_keras_serializable(PACKAGE)(cls)
    return cls
