import numpy as np
import pytest

from keras_similarity.set_metrics import ROCCurve
from keras_similarity.visualization import plot_roc

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")

CURVE = ROCCurve(
    thresholds=np.array([0.1, 0.2, 0.3, 0.4]),
    false_accept_rate=np.array([0.0, 0.001, 0.1, 1.0]),
    true_accept_rate=np.array([0.2, 0.5, 0.9, 1.0]),
)
SIMILARITY = ROCCurve(
    -CURVE.thresholds, CURVE.false_accept_rate, CURVE.true_accept_rate, True
)


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


def test_a_curve_is_a_step_from_its_smallest_rate():
    figure = plot_roc({"ours": CURVE})
    x, y = lines(figure)["ours"].get_data()
    assert (x[0], x[-1]) == pytest.approx((0.001, 1.0))
    for place, height in ((0.0011, 0.5), (0.0999, 0.5), (0.11, 0.9), (1.0, 1.0)):
        assert y[np.searchsorted(x, place, side="right") - 1] == height
    assert figure.axes[0].get_xscale() == "log"


def test_curves_differ_without_colour_and_are_named():
    figure = plot_roc({"a": CURVE, "b": CURVE, "c": CURVE})
    found = [lines(figure)[name] for name in "abc"]
    assert len({line.get_linestyle() for line in found}) == 3
    assert len({line.get_marker() for line in found}) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]


@pytest.mark.parametrize(("curve", "threshold"), [(CURVE, 0.25), (SIMILARITY, -0.25)])
def test_a_chosen_threshold_is_marked_with_its_rates(curve, threshold):
    (mark,) = [
        line for line in plot_roc(curve, thresholds=threshold).axes[0].lines
        if line.get_marker() == "*"
    ]  # fmt: skip
    assert mark.get_xydata().tolist() == [[0.001, 0.5]]
    assert "FAR 0.001, TAR 0.500" in mark.get_label()


def test_no_curve_is_told():
    with pytest.raises(ValueError, match="at least one curve"):
        plot_roc({})
