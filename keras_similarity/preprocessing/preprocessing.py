"""How a picture becomes the array that a model was trained on."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from keras_similarity.backend import import_optional
from keras_similarity.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Pixels = npt.NDArray[np.uint8]

_RESIZE_RULES = ("fit", "crop", "stretch")
_MODES = {1: "L", 3: "RGB"}


class Preprocessing:
    """How a picture becomes an array: size, resize rule, colours and value range.

    It is declarative, so that it is saved with a model, and a picture file that
    arrives later becomes the same array as it would have in training. The order of
    the axes is `[height, width, channels]`.

    A picture is turned as its EXIF orientation says, laid on `background` where it is
    transparent, brought to 8 bits and to `channels`, resized (bilinear, with
    antialiasing where it shrinks) and mapped from 0..255 to `value_range`. Of an
    animation the first picture is taken.

    Args:
        image_size: Height and width of the array.
        channels: 1 for grey, 3 for red, green and blue.
        resize: What to do with a picture of other proportions. `"fit"` shows all of it
            and fills the rest with `background`, `"crop"` fills the array and cuts off
            what stands over on both sides alike, `"stretch"` distorts it.
        value_range: What black (0) and white (255) become.
        background: Grey level, 0 to 255, of what a picture does not cover.

    Raises:
        ValueError: If an argument is not one of those above.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.preprocessing import Preprocessing
        >>> preprocessing = Preprocessing((2, 2), channels=1, value_range=(-1.0, 1.0))
        >>> preprocessing.from_array(np.array([[0, 255], [255, 0]], "uint8"))[..., 0]
        array([[-1.,  1.],
               [ 1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        image_size: Sequence[int] = (32, 32),
        channels: int = 3,
        resize: str = "fit",
        value_range: Sequence[float] = (0.0, 1.0),
        background: int = 255,
    ) -> None:
        _check_image_size(image_size)
        if channels not in _MODES:
            raise ValueError(
                "`channels` must be 1 (grey) or 3 (red, green, blue). Received: "
                f"channels={channels!r}."
            )
        if resize not in _RESIZE_RULES:
            raise ValueError(
                f"`resize` must be one of {', '.join(_RESIZE_RULES)}. Received: "
                f"resize={resize!r}."
            )
        _check_value_range(value_range)
        if not 0 <= background <= 255:
            raise ValueError(
                "`background` must be a grey level from 0 (black) to 255 (white). "
                f"Received: background={background!r}."
            )
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.channels = channels
        self.resize = resize
        self.value_range = (float(value_range[0]), float(value_range[1]))
        self.background = int(background)
        # A table, so that both ends of the range are met exactly.
        self._levels = np.linspace(*self.value_range, 256, dtype="float32")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `[height, width, channels]` of a picture: the input shape of a model."""
        return (*self.image_size, self.channels)

    def from_file(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> Floats:
        """Float32 array `[height, width, channels]` of a picture file.

        Args:
            source: Path of the file, its bytes, or a file opened for reading bytes.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds no picture that can be read.
        """
        pillow = self._pillow()
        name = repr(os.fspath(source)) if isinstance(source, str | os.PathLike) else ""
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            with pillow.open(file) as picture:
                return self._levels[self._pixels(picture)]
        except FileNotFoundError:
            raise
        # Besides OSError: what Pillow's readers of damaged files let through.
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            reason = type(error).__name__ if name in str(error) else str(error)
            raise ValueError(
                f"Not a picture that can be read: {name or 'the bytes given'} ({reason})."
            ) from error
        except pillow.DecompressionBombError as error:
            raise ValueError(f"Too large a picture: {name}. {error}") from error

    def from_array(self, pictures: Any) -> Floats:
        """Float32 array of one or more pictures that are arrays of 8 bits already.

        Pictures of the right size and colours need no package but NumPy.

        Args:
            pictures: Uint8, one picture `[h, w]` or `[h, w, c]`, or a batch
                `[N, h, w, c]`; `c` is 1 (grey), 3 (colours) or 4 (colours and alpha).

        Returns:
            `[height, width, channels]`, or `[N, height, width, channels]` of a batch.

        Raises:
            TypeError: If the array is not uint8.
            ValueError: If its shape is none of those above.
        """
        pictures = np.asarray(pictures)
        if pictures.dtype != np.uint8:
            raise TypeError(
                "`pictures` must be uint8, with 0 for black and 255 for white. Received: "
                f"dtype={pictures.dtype}."
            )
        shape = pictures.shape
        if pictures.ndim == 2:
            pictures = pictures[..., None]
        if pictures.ndim not in (3, 4) or pictures.shape[-1] not in (1, 3, 4):
            raise ValueError(
                "`pictures` must have the shape [h, w], [h, w, c] or [N, h, w, c] with "
                f"1, 3 or 4 channels c. Received: pictures.shape={shape}."
            )
        if 0 in pictures.shape[-3:]:
            raise ValueError(
                f"A picture must have pixels. Received: pictures.shape={shape}."
            )
        if pictures.shape[-3:] == self.shape:
            return self._levels[pictures]
        if pictures.ndim == 3:
            return self._levels[self._pixels(self._picture(pictures))]
        pixels = np.empty((len(pictures), *self.shape), "uint8")
        for row, picture in enumerate(pictures):
            pixels[row] = self._pixels(self._picture(picture))
        return self._levels[pixels]

    def to_pixels(self, array: Any) -> Pixels:
        """Uint8 pictures of arrays in `value_range`, for showing them; any shape."""
        low, high = self.value_range
        levels = (np.asarray(array, "float32") - low) * (255.0 / (high - low))
        return np.clip(np.rint(levels), 0, 255).astype("uint8")

    def get_config(self) -> dict[str, Any]:
        """The arguments, as plain data that JSON holds."""
        return {
            "image_size": list(self.image_size),
            "channels": self.channels,
            "resize": self.resize,
            "value_range": list(self.value_range),
            "background": self.background,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessing:
        """The object whose `get_config()` is `config`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Preprocessing):
            return NotImplemented
        return self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((self.shape, self.resize, self.value_range, self.background))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"Preprocessing({arguments})"

    def _pillow(self) -> Any:
        return import_optional("PIL.Image", extra="cli", needed_by="Preprocessing")

    def _picture(self, pixels: Pixels) -> Picture:
        squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        return self._pillow().fromarray(np.ascontiguousarray(squeezed))

    def _pixels(self, picture: Picture) -> Pixels:
        """Uint8 `[height, width, channels]` of a picture of any kind."""
        from PIL import ImageOps

        picture = ImageOps.exif_transpose(picture)
        picture = _opaque(_to_8_bits(picture), self.background)
        picture = self._resized(picture.convert(_MODES[self.channels]))
        return np.asarray(picture).reshape(self.shape)

    def _resized(self, picture: Picture) -> Picture:
        from PIL import ImageOps

        height, width = self.image_size
        if picture.size == (width, height):
            return picture
        bilinear = self._pillow().Resampling.BILINEAR
        if self.resize == "stretch":
            return picture.resize((width, height), bilinear)
        if self.resize == "crop":
            return ImageOps.fit(picture, (width, height), bilinear)
        color = (self.background,) * self.channels
        return ImageOps.pad(
            picture, (width, height), bilinear, color if self.channels > 1 else color[0]
        )


def _to_8_bits(picture: Picture) -> Picture:
    if not picture.mode.startswith(("I", "F")):
        return picture
    from PIL import Image

    if picture.mode == "F":
        raise ValueError("pictures of floats have no agreed range")
    # Pillow's own conversion cuts off at 255 instead of scaling.
    levels = np.asarray(picture).astype("float64") / 257.0
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype("uint8"))


def _opaque(picture: Picture, background: int) -> Picture:
    if not picture.has_transparency_data:
        return picture
    from PIL import Image

    picture = picture.convert("RGBA")
    ground = Image.new("RGBA", picture.size, (background,) * 3 + (255,))
    return Image.alpha_composite(ground, picture).convert("RGB")


def _check_image_size(image_size: Sequence[int]) -> None:
    is_pair = isinstance(image_size, Sequence) and len(image_size) == 2
    if not is_pair or not all(int(side) == side > 0 for side in image_size):
        raise ValueError(
            "`image_size` must be two positive integers, height and width. Received: "
            f"image_size={image_size!r}."
        )


def _check_value_range(value_range: Sequence[float]) -> None:
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ValueError(
            "`value_range` must be two numbers, the smaller first. Received: "
            f"value_range={value_range!r}."
        )
