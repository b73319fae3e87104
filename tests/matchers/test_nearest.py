import numpy as np
import pytest

from keras_similarity.matchers import MatchNearest
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free


def test_the_first_column_decides():
    labels, distances = MatchNearest().derive_match([[3, 4], [5, 5]], [[1, 2], [3, 4]])
    assert (labels.tolist(), distances.tolist()) == ([[3], [5]], [[1.0], [3.0]])
    assert (labels.dtype, distances.dtype) == (np.int64, np.float32)


def test_a_nearest_neighbour_without_a_label_is_no_answer():
    labels, distances = MatchNearest().derive_match([[NO_LABEL, 4]], [[1, 2]])
    assert labels.tolist() == [[NO_LABEL]]
    assert np.isnan(distances).all()


def test_large_labels_stay_apart():
    labels, _ = MatchNearest().derive_match([[2**53 + 1]], [[1]])
    assert labels.tolist() == [[2**53 + 1]]
