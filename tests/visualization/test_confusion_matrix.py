import io

import numpy as np
import pytest

from keras_similarity.visualization import confusion_matrix, plot_confusion

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")


def counted(y_true, y_pred, rows, columns):
    """By loops; `columns` holds predictions, `None` for any that is not in it."""
    matrix = np.zeros((len(rows), len(columns)))
    for true, predicted in zip(y_true, y_pred, strict=True):
        if true in rows:
            column = predicted if predicted in columns else None
            matrix[rows.index(true), columns.index(column)] += 1
    return matrix


def column_names(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def test_counts_and_shares_equal_loops():
    random = np.random.default_rng(0)
    y_true, y_pred = random.integers(0, 7, (2, 200))
    expected = counted(y_true, y_pred, list(range(7)), list(range(7)))
    _, counts = confusion_matrix(y_pred, y_true, normalize=False, show=False)
    _, shares = confusion_matrix(y_pred, y_true, show=False)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_allclose(shares, expected / expected.sum(axis=1, keepdims=True))


def test_no_match_has_a_column_of_its_own():
    axes, matrix = confusion_matrix(
        [0, -1, 1, -1], [0, 0, 1, 2], normalize=False, labels=["a", "b", "c"], show=False
    )
    np.testing.assert_array_equal(matrix, [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert column_names(axes) == ["a", "b", "c", "no match"]
    assert "accuracy=0.5000; misclass=0.5000" in axes.get_xlabel()


def test_the_peers_way_to_say_no_match_works_too():
    # `no_match_label=<number of classes>`, because its matrix takes no -1.
    _, matrix = confusion_matrix([0, 2], [0, 1], normalize=False, show=False)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 0, 1], [0, 0, 0]])


def test_a_class_without_examples_is_a_row_of_zeros():
    _, matrix = confusion_matrix([0, 2], [0, 2], show=False)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 0, 0], [0, 0, 1]])


def test_classes_are_chosen_and_ordered():
    random = np.random.default_rng(1)
    y_true, y_pred = random.integers(0, 9, 300), random.integers(-1, 9, 300)
    axes, matrix = confusion_matrix(
        y_pred, y_true, normalize=False, show=False, classes=[5, 2, 8]
    )
    np.testing.assert_array_equal(
        matrix, counted(y_true, y_pred, [5, 2, 8], [5, 2, 8, None, -1])
    )
    assert column_names(axes) == ["5", "2", "8", "other", "no match"]


def test_many_classes_are_drawn_with_some_names_and_no_values():
    labels = np.arange(300)
    axes, matrix = confusion_matrix(labels, labels, show=False)
    assert matrix.shape == (300, 300)
    assert len(column_names(axes)) <= 60
    assert not axes.texts


def test_names_are_not_taken_for_mathematics():
    axes, _ = confusion_matrix([0, 1], [0, 1], labels=["$x^2$", "$"], show=False)
    axes.figure.savefig(io.BytesIO())
    assert not any(label.get_parse_math() for label in axes.get_xticklabels())


@pytest.mark.parametrize(
    ("y_pred", "y_true", "options", "message"),
    [
        ([0], [0, 1], {}, "`y_pred` must hold one label a row"),
        ([0, 1], [0, -1], {}, "`y_true` must hold class ids of 0 and above"),
        ([], [], {}, "at least one"),
        ([0], [0], {"classes": [0, 0]}, "`classes` must not repeat"),
        ([0], [0], {"classes": []}, "at least one"),
    ],
)
def test_bad_labels_are_told(y_pred, y_true, options, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(y_pred, y_true, show=False, **options)


def test_of_many_classes_the_most_confused_are_shown():
    y_true = np.repeat(np.arange(1800), 5)
    y_pred = y_true.copy()
    y_pred[y_true == 1234] = 77
    y_pred[np.flatnonzero(y_true == 9)[:2]] = 1700
    y_pred[y_true == 5] = -1
    figure = plot_confusion(y_pred, y_true, max_classes=5)
    axes = figure.axes[0]
    assert column_names(axes) == ["1234", "77", "9", "1700", "5", "no match"]
    assert axes.get_title() == "The 5 most confused of 1,800 classes"
    cells = {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in axes.texts
    }
    assert cells[0, 1] == "1.00"
    assert cells[2, 3] == ".40"


def test_few_classes_are_all_shown():
    assert len(column_names(plot_confusion([0, 1, 1], [0, 1, 2]).axes[0])) == 3
    with pytest.raises(ValueError, match="`max_classes` must be at least 1"):
        plot_confusion([0], [0], max_classes=0)
