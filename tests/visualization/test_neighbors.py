import sys

import numpy as np
import pytest

from keras_similarity.types import Lookup
from keras_similarity.visualization import (
    plot_neighbors,
    viz_neigbors_imgs,
    viz_neighbors_imgs,
)

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")

PICTURE = np.arange(64, dtype="uint8").reshape(8, 8)


def neighbors(*labels):
    return [
        Lookup(rank, 0.125 * rank, label, None, PICTURE)
        for rank, label in enumerate(labels, start=1)
    ]


def titles(axes):
    return [cell.get_title() for cell in axes if cell.axison]


def frame(cell):
    return {spine.get_linestyle() for spine in cell.spines.values()}


def test_right_and_wrong_differ_in_glyph_and_line_not_only_in_colour():
    figure = plot_neighbors([PICTURE], [4], [neighbors(4, 9)], {4: "cat", 9: "dog"})
    query, right, wrong = figure.axes
    assert titles([query, right, wrong]) == ["query\ncat", "✓ 0.125\ncat", "✗ 0.250\ndog"]
    assert frame(right) == {"solid"}
    assert frame(wrong) != {"solid"}
    assert "same class" in figure.get_supxlabel()


@pytest.mark.parametrize(
    ("threshold", "is_similarity", "marked"),
    [
        (0.25, False, 2),
        (0.1, False, 0),
        (9.0, False, 3),
        (0.2, True, 2),
        (None, False, None),
    ],
)
def test_a_bar_ends_the_matches(threshold, is_similarity, marked):
    found = neighbors(4, 9, 4)
    if is_similarity:
        for neighbor in found:
            neighbor.distance = 0.5 - neighbor.distance
    figure = plot_neighbors(
        [PICTURE], [4], [found], threshold=threshold, is_similarity=is_similarity
    )
    bars = [index for index, cell in enumerate(figure.axes) if cell.lines]
    assert bars == ([] if marked is None else [marked])


def test_rows_may_be_shorter_and_pictures_missing():
    lonely = Lookup(1, 0.5, None, None, None)
    figure = plot_neighbors([PICTURE, PICTURE], [4, 5], [neighbors(4, 4), [lonely]])
    assert titles(figure.axes) == [
        "query\n4", "✓ 0.125\n4", "✓ 0.250\n4", "query\n5", "✗ 0.500\nno label",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8, 1), "float32"),
        np.full((8, 8, 3), 300, "int32"),
        np.random.default_rng(0).normal(size=(8, 8, 4)),
    ],
    ids=["grey", "too bright", "any range"],
)
def test_pictures_of_any_range_are_drawn(picture):
    figure = plot_neighbors([picture], [0], [[Lookup(1, 0.0, 0, None, picture)]])
    shown = figure.axes[0].images[0].get_array()
    assert shown.min() >= 0.0 and shown.max() <= 1.0


def test_what_is_no_picture_is_told():
    with pytest.raises(ValueError, match=r"shape of a picture|must have the shape"):
        plot_neighbors([np.zeros(5)], [0], [neighbors(0)])


@pytest.mark.parametrize(("labels", "rows"), [([4, 4], 1), ([4], 2)])
def test_lengths_must_fit(labels, rows):
    with pytest.raises(ValueError, match="Received"):
        plot_neighbors([PICTURE], labels, [neighbors(4)] * rows)


def test_no_query_is_told():
    with pytest.raises(ValueError, match="at least 1"):
        plot_neighbors([], [], [])


def test_the_peers_function_under_both_names():
    assert viz_neigbors_imgs is viz_neighbors_imgs
    cells = viz_neighbors_imgs(PICTURE, 1, neighbors(1, 0), ["a", "b"], show=False)
    assert titles(cells) == ["query\nb", "✓ 0.12500\nb", "✗ 0.25000\na"]
    assert [cell.images[0].get_cmap().name for cell in cells] == [
        "viridis",
        "viridis",
        "Reds",
    ]


def test_drawing_without_showing_leaves_pyplot_alone():
    before = "matplotlib.pyplot" in sys.modules
    plot_neighbors([PICTURE], [4], [neighbors(4)])
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(
    ("picture", "shown"),
    [
        (np.array([[0, 51]], "uint8"), [[0.0, 0.2]]),
        (np.array([[0.1, 0.2]]), [[0.1, 0.2]]),
        (np.array([[-1.0, 3.0]]), [[0.0, 1.0]]),
    ],
    ids=["8 bits", "unit range", "any range"],
)
def test_brightness_is_kept_where_the_range_is_known(picture, shown):
    figure = plot_neighbors([picture], [0], [[]])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), shown, atol=1e-6)
