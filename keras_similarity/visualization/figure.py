"""Figures that open no window and change no global state unless they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_similarity.backend import import_optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(needed_by: str, *, show: bool, size: tuple[float, float]) -> Figure:
    """An empty figure, `size` inches wide and high.

    Only a figure that will be shown comes from `pyplot`, which starts a window system
    and keeps every figure it made; the others can be saved with `savefig` all the same.

    Args:
        needed_by: The public function that draws, for the message where matplotlib is
            missing.
        show: Will the figure be shown?
        size: Width and height in inches.
    """
    options: dict[str, Any] = {"figsize": size, "layout": "constrained"}
    if show:
        figure = _pyplot(needed_by).figure(**options)
    else:
        module = import_optional("matplotlib.figure", extra="viz", needed_by=needed_by)
        figure = module.Figure(**options)
    # Room for thick frames and for accents on capitals at the rim.
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure


def show_figure(needed_by: str, *, show: bool) -> None:
    """Shows the figures made with `show=True`; does nothing otherwise."""
    if show:
        _pyplot(needed_by).show()


def _pyplot(needed_by: str) -> Any:
    return import_optional("matplotlib.pyplot", extra="viz", needed_by=needed_by)
