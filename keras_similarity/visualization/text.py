"""Class names as text that the figure's font can draw."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping, Sequence

#: Names of classes: by class id, or by position.
ClassNames = Mapping[int, str] | Sequence[str] | None


def class_text(label: int | None, class_names: ClassNames = None) -> str:
    """What to write for a class: its name, or its number where it has none.

    A single character beyond ASCII is followed by its code point, because many look
    alike (Latin A, Greek Alpha, Cyrillic A); characters that the font lacks are
    replaced by their code points, where matplotlib would draw an empty box.

    Args:
        label: Class id; `None` for a neighbour that was indexed without one.
        class_names: Names by class id or by position.

    Example:
        >>> class_text(1, ["cat", "dog"])
        'dog'
        >>> class_text(7, ["cat", "dog"])
        '7'
    """
    if label is None:
        return "no label"
    name = _name_of(int(label), class_names)
    if len(name) == 1 and not name.isascii():
        point = code_point(name)
        return f"{name} {point}" if is_drawable(name) else point
    text = "".join(char if is_drawable(char) else _stand_in(char, name) for char in name)
    return text.strip() or name


def shorten(text: str, limit: int = 14) -> str:
    """The text, or its beginning and an ellipsis, of at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def code_point(char: str) -> str:
    """Code point of a character as it is usually written: `U+00E9`."""
    return f"U+{ord(char):04X}"


def is_drawable(text: str) -> bool:
    """Does the figures' font draw every character of `text` as something to see?"""
    font = _font_characters()
    return all(
        ord(char) in font and (char == " " or unicodedata.category(char)[0] not in "CZM")
        for char in text
    )


def _stand_in(char: str, name: str) -> str:
    """What to write for a character that the font lacks."""
    point = code_point(char)
    return "" if point in name else f"<{point}>"  # Some names spell it out already.


def _name_of(label: int, class_names: ClassNames) -> str:
    if isinstance(class_names, Mapping):
        return str(class_names.get(label, label))
    if class_names is not None and 0 <= label < len(class_names):
        return str(class_names[label])
    return str(label)


@functools.cache
def _font_characters() -> frozenset[int]:
    from matplotlib import font_manager

    path = font_manager.findfont(font_manager.FontProperties())
    return frozenset(font_manager.get_font(path).get_charmap())
