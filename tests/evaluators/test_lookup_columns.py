import logging

import numpy as np
import pytest

from keras_similarity.evaluators import (
    round_distances,
    unpack_lookup_distances,
    unpack_lookup_labels,
)
from keras_similarity.types import NO_ID, NO_LABEL, Lookup, Lookups

pytestmark = pytest.mark.keras_free

INF = float("inf")
NAN = float("nan")

ROWS = [
    [Lookup(1, 0.5, 2**53 + 1), Lookup(2, 0.75, None)],
    [],
    [Lookup(1, 0.25, 3)],
]
COLUMNS = Lookups(
    ids=np.array([[4, 5], [NO_ID, NO_ID], [6, NO_ID]]),
    distances=np.float32([[0.5, 0.75], [NAN, NAN], [0.25, NAN]]),
    labels=np.array([[2**53 + 1, NO_LABEL], [NO_LABEL, NO_LABEL], [3, NO_LABEL]]),
    records=lambda ids: (np.zeros((len(ids), 1)), [None] * len(ids)),
)


@pytest.mark.parametrize("lookups", [ROWS, COLUMNS, list(COLUMNS)])
def test_short_rows(lookups):
    labels = unpack_lookup_labels(lookups)
    assert labels.tolist() == COLUMNS.labels.tolist()
    distances = unpack_lookup_distances(lookups)
    assert distances.tolist() == [[0.5, 0.75], [INF, INF], [0.25, INF]]
    assert (labels.dtype, distances.dtype) == (np.int64, np.float32)


def test_short_rows_are_logged(caplog):
    with caplog.at_level(logging.WARNING):
        unpack_lookup_distances(ROWS)
    assert "2 of 3 queries have fewer than 2 neighbours" in caplog.text


@pytest.mark.parametrize("lookups", [ROWS[2:], COLUMNS[2:]])
def test_dtypes(lookups):
    labels = unpack_lookup_labels(lookups, "int32")
    assert labels.dtype == np.int32
    assert labels[0, 0] == 3
    assert unpack_lookup_distances(lookups, "float64").dtype == np.float64


def test_no_lookups():
    assert unpack_lookup_labels([]).shape == unpack_lookup_distances([]).shape == (0, 0)
    assert unpack_lookup_distances([[], []]).shape == (2, 0)


def test_a_nan_of_a_neighbour_is_reported():
    message = "NaN distance.*query 1, neighbour 2"
    rows = [[Lookup(1, 0.1)], [Lookup(1, 0.2), Lookup(2, NAN)]]
    with pytest.raises(ValueError, match=message):
        unpack_lookup_distances(rows)
    columns = Lookups(
        ids=np.array([[1, NO_ID], [1, 2]]),
        distances=np.float32([[0.1, NAN], [0.2, NAN]]),
        labels=np.array([[1, NO_LABEL], [1, 1]]),
        records=COLUMNS.records,
    )
    with pytest.raises(ValueError, match=message):
        unpack_lookup_distances(columns)


@pytest.mark.parametrize(
    "distance, decimals, expected",
    [
        (0.125, 2, 0.12),  # Half to even, on numbers that floats hold exactly.
        (0.375, 2, 0.38),
        (0.123456, 3, 0.123),
        (INF, 8, INF),
        (3e38, 8, 3e38),
        (0.123456, None, 0.123456),
    ],
)
def test_rounding(distance, decimals, expected):
    rounded = round_distances(np.float32([distance]), decimals)
    assert rounded.dtype == np.float32
    assert rounded[0] == np.float32(expected)


def test_rounding_is_in_float32():
    # Scaling by 1e8 and back changes the last bit, as it does in the peer.
    rounded = unpack_lookup_distances([[Lookup(1, 0.36982006)]], distance_rounding=8)
    assert rounded[0, 0] == np.float32(0.36982003)
