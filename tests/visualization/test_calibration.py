import numpy as np
import pytest

from keras_similarity.types import CalibrationResults
from keras_similarity.visualization import plot_calibration

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")

THRESHOLDS = {
    "distance": np.array([0.1, 0.2, np.inf]),
    "precision": np.array([1.0, 0.75, 0.5]),
    "recall": np.array([0.25, 0.5, 1.0]),
    "value": np.array([0.25, 0.5, 1.0]),
}
CUTPOINTS = {
    "optimal": {"name": "optimal", "distance": 0.2, "precision": 0.75, "recall": 0.5},
}


@pytest.fixture
def axes():
    (axes,) = plot_calibration(CalibrationResults(CUTPOINTS, THRESHOLDS)).axes
    return axes


def test_each_metric_is_a_line_over_the_finite_thresholds(axes):
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(
        lines["precision"].get_xydata(), [[0.1, 1], [0.2, 0.75]]
    )
    np.testing.assert_array_equal(lines["recall"].get_xydata(), [[0.1, 0.25], [0.2, 0.5]])
    assert "value" not in lines  # It repeats another one.


def test_lines_differ_without_colour(axes):
    lines = [line for line in axes.lines if line.get_label() in ("precision", "recall")]
    assert len({line.get_linestyle() for line in lines}) == 2
    assert len({line.get_marker() for line in lines}) == 2


def test_the_cutpoint_is_marked_and_written(axes):
    marks = [line for line in axes.lines if line.get_markersize() == 10]
    assert [(*line.get_xydata()[0],) for line in marks] == [(0.2, 0.75), (0.2, 0.5)]
    assert "distance 0.2, precision 0.750, recall 0.500" in axes.get_title()


def test_an_unknown_cutpoint_is_told():
    with pytest.raises(ValueError, match="one of the calibration's cutpoints: optimal"):
        plot_calibration(CalibrationResults(CUTPOINTS, THRESHOLDS), "strict")
