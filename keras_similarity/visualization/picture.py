"""One picture in a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.arrays import to_numpy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_picture(axes: Axes, picture: Any, *, cmap: str = "gray") -> None:
    """Draws a picture on axes without ticks.

    Args:
        axes: Where to draw.
        picture: `[H, W]`, `[H, W, 1]` or `[H, W, 3 or 4]`, of any range: integers are
            shown from 0 to 255, floats from 0 to 1 where they lie in that range, else
            from their minimum to their maximum. `None` leaves the frame empty.
        cmap: Colour map of grey pictures.
    """
    axes.set(xticks=[], yticks=[])
    if picture is None:
        axes.set_box_aspect(1)
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        return
    values = unit_range(picture)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    axes.imshow(values, cmap=cmap, vmin=0.0, vmax=1.0)


def unit_range(picture: Any) -> np.ndarray:
    """The picture as float32 from 0 to 1.

    Raises:
        ValueError: If it has not the shape of a picture.
    """
    array = to_numpy(picture)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(
            "A picture must have the shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]. "
            f"Received: shape={array.shape}. Give `index` the pictures as `data`."
        )
    if array.dtype.kind in "iu":
        return np.clip(array.astype("float32") / 255.0, 0.0, 1.0)
    values = array.astype("float32")
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1.0)
    return (values - low) / (high - low)
