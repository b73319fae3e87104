import numpy as np
import pytest

from keras_similarity.visualization import plot_per_class

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")

VALUES = {7: 0.5, 3: 0.25, 9: 1.0, 4: np.nan}


def bars(figure):
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))


def test_the_worst_classes_come_first_and_nan_is_left_out():
    assert bars(plot_per_class(VALUES)) == {"3": 0.25, "7": 0.5, "9": 1.0}
    shown = bars(plot_per_class(VALUES, {9: "cat"}, lowest_first=False, max_classes=2))
    assert list(shown.items()) == [("cat", 1.0), ("7", 0.5)]


def test_all_classes_are_in_the_histogram_and_the_mean():
    figure = plot_per_class(dict(enumerate(np.linspace(0, 1, 1800))), max_classes=25)
    bars_shown, everyone = figure.axes
    assert len(bars_shown.patches) == 25
    assert sum(patch.get_width() for patch in everyone.patches) == 1800
    assert "25 worst; dashed: mean 0.500" in bars_shown.get_title()


def test_intervals_are_drawn_over_their_bars():
    figure = plot_per_class(VALUES, intervals={3: (0.125, 0.75)})
    (container,) = figure.axes[0].containers[1:]
    (segment,) = container.lines[2][0].get_segments()
    assert segment[:, 0].tolist() == [0.125, 0.75]
    assert segment[0, 1] == 0


@pytest.mark.parametrize(("values", "number"), [({}, 5), ({1: np.nan}, 5), (VALUES, 0)])
def test_nothing_to_draw_is_told(values, number):
    with pytest.raises(ValueError, match="must hold a number"):
        plot_per_class(values, max_classes=number)
