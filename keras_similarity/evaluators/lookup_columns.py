"""From lookups to arrays of labels and distances."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.types import NO_LABEL, Bools, Floats, Ints, Lookup, Lookups

logger = logging.getLogger(__name__)


def unpack_lookup_labels(
    lookups: Sequence[Sequence[Lookup]], dtype: npt.DTypeLike = "int64"
) -> Ints:
    """Labels `[Q, K]` of the neighbours, nearest first.

    Args:
        lookups: `types.Lookups`, or one list of `Lookup` a query.
        dtype: Integer type of the result.

    Returns:
        `K` is the longest row's length. Where a row is shorter or a neighbour has no
        label stands the smallest integer of `dtype`: `types.NO_LABEL` in int64.
    """
    if isinstance(lookups, Lookups):
        labels = lookups.labels
    else:
        found = (
            NO_LABEL if lookup.label is None else lookup.label
            for lookup in chain.from_iterable(lookups)
        )
        labels = _fill_rows(_is_found(lookups), found, NO_LABEL, "int64")
    if np.dtype(dtype) == labels.dtype:
        return labels
    return np.where(labels == NO_LABEL, np.iinfo(dtype).min, labels).astype(dtype)


def unpack_lookup_distances(
    lookups: Sequence[Sequence[Lookup]],
    dtype: npt.DTypeLike = "float32",
    distance_rounding: int | None = None,
) -> Floats:
    """Distances `[Q, K]` of the neighbours, nearest first; infinity where there is none.

    Args:
        lookups: `types.Lookups`, or one list of `Lookup` a query.
        dtype: Float type of the result.
        distance_rounding: Decimals to round to; `None`: not.

    Raises:
        ValueError: If the distance of a neighbour is NaN.
    """
    if isinstance(lookups, Lookups):
        is_found, distances = lookups.is_found, lookups.distances
    else:
        is_found = _is_found(lookups)
        found = (lookup.distance for lookup in chain.from_iterable(lookups))
        distances = _fill_rows(is_found, found, np.nan, "float64")
    _check_no_nan(distances, is_found)
    _warn_of_short_rows(is_found)
    distances = np.where(is_found, distances, np.inf).astype(dtype)
    return round_distances(distances, distance_rounding)


def round_distances(distances: Floats, decimals: int | None) -> Floats:
    """Rounds to `decimals`, half to even, in the distances' own precision.

    What is held against a calibrated threshold must be rounded as in calibration: the
    last bits of a float32 change on the way, so that an example on the threshold would
    miss it otherwise.

    Args:
        distances: Floats of any shape.
        decimals: Number of decimals; `None` leaves the distances alone.
    """
    if decimals is None:
        return distances
    scale = distances.dtype.type(10.0**decimals)
    with np.errstate(over="ignore"):
        scaled = distances * scale
    # What overflows has no decimals to round.
    return np.where(np.isinf(scaled), distances, np.round(scaled) / scale)


def _is_found(lookups: Sequence[Sequence[Lookup]]) -> Bools:
    lengths = np.fromiter(map(len, lookups), dtype="int64", count=len(lookups))
    return np.arange(lengths.max(initial=0)) < lengths[:, None]


def _fill_rows(is_found: Bools, found: Iterable[Any], missing: Any, dtype: str) -> Any:
    """Array `[Q, K]` with the values `found`, row by row, and `missing` elsewhere."""
    column = np.full(is_found.shape, missing, dtype)
    column[is_found] = np.fromiter(found, dtype=dtype, count=int(is_found.sum()))
    return column


def _check_no_nan(distances: Floats, is_found: Bools) -> None:
    is_nan = is_found & np.isnan(distances)
    if is_nan.any():
        row, column = np.argwhere(is_nan)[0]
        raise ValueError(
            "`lookups` must hold no NaN distance. Received: one, first of query "
            f"{row}, neighbour {column + 1}."
        )


def _warn_of_short_rows(is_found: Bools) -> None:
    short = int((~is_found.all(axis=1)).sum())
    if short:
        logger.warning(
            "%d of %d queries have fewer than %d neighbours; those missing count as "
            "infinitely far.",
            short,
            *is_found.shape,
        )
