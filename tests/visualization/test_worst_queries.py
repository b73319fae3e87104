import numpy as np
import pytest

from keras_similarity.types import Lookup
from keras_similarity.visualization import plot_worst_queries

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")

PICTURES = [np.full((4, 4), shade, "uint8") for shade in (10, 20, 30)]


def neighbors(*labels):
    return [Lookup(i + 1, 0.1 * i, label, id=i) for i, label in enumerate(labels)]


def query_titles(figure):
    titles = [axes.get_title() for axes in figure.axes]
    return [title.split("\n")[1] for title in titles if title.startswith("query")]


def test_queries_that_find_their_class_late_come_first():
    lookups = [neighbors(1, 9), neighbors(9, 9), neighbors(9, 3)]
    figure = plot_worst_queries(PICTURES, [1, 2, 3], lookups, key_pictures=PICTURES)
    assert query_titles(figure) == ["2", "3", "1"]
    figure = plot_worst_queries(
        PICTURES, [1, 2, 3], lookups, key_pictures=PICTURES, max_queries=1
    )
    assert query_titles(figure) == ["2"]
    assert figure.get_suptitle() == "The 1 worst of 3 queries"


def test_pictures_of_neighbours_come_by_their_ids():
    figure = plot_worst_queries(
        PICTURES[:1], [1], [neighbors(9, 9, 9)], key_pictures=PICTURES
    )
    shown = [axes.images[0].get_array()[0, 0] for axes in figure.axes[1:]]
    assert shown == pytest.approx([10 / 255, 20 / 255, 30 / 255])


@pytest.mark.parametrize(
    ("queries", "options", "message"),
    [
        (0, {}, "at least 1"),
        (1, {"max_queries": 0}, "`max_queries` be at least 1"),
        (1, {"key_pictures": PICTURES}, "must hold ids"),
    ],
)
def test_bad_arguments_are_told(queries, options, message):
    lookups = [[Lookup(1, 0.5, 2)]] * queries
    with pytest.raises(ValueError, match=message):
        plot_worst_queries(PICTURES[:queries], [1] * queries, lookups, **options)
