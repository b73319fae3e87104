"""Many pairs, counted in bins of their cost, a tile at a time."""

from __future__ import annotations

import numpy as np

from keras_similarity.set_metrics.cost_bins import BINS, CostBins
from keras_similarity.set_metrics.pair_list import PairList
from keras_similarity.set_metrics.rows import Rows, Tile
from keras_similarity.types import Floats, Ints

# Rows of a sample that shows where costs lie.
_SAMPLE = 1024
# Quantiles at which coarse bins end: of positives and negatives, and of the negatives'
# near tail, in steps of 4 %.
_QUANTILES = 256
_TAIL = np.geomspace(1e-8, 0.5, 450)


def count_in_bins(rows: Rows) -> tuple[CostBins, Floats, Floats]:
    """Numbers of pairs in each bin; a pair of a symmetric distance counts once.

    Returns:
        The bins, and the numbers `[BINS]` of positive pairs and of all pairs.
    """
    bins = CostBins.of(_sample_costs(rows))
    positives, everyone = np.zeros(BINS), np.zeros(BINS)
    for tile in rows.tiles(once=True):
        places = _counted_places(bins.places(tile.costs), tile)
        everyone += np.bincount(places.ravel(), minlength=BINS + 1)[:BINS]
        positives += np.bincount(places[tile.positive], minlength=BINS + 1)[:BINS]
    return bins, positives, everyone


def count_weights_in_bins(rows: Rows, budget: int) -> tuple[Floats, Floats, Floats]:
    """Weights of pairs in some 1,000 bins; looks at all pairs twice.

    Args:
        rows: The rows, with weights.
        budget: How many weights of single pairs may be computed.

    Returns:
        Upper edges `[T]`, and weights `[R, T]` of positive and of negative pairs.
    """
    bins, positives, everyone = count_in_bins(rows)
    ends = _coarse_ends(positives, everyone)
    level_of = np.searchsorted(ends, np.arange(BINS)).astype("int32")
    # From here on, pairs count from both sides, which is how rows are weighed.
    sides = 2 if rows.is_symmetric else 1
    limit = budget // rows.draws
    near = int(np.searchsorted(sides * np.cumsum(everyone)[ends], limit, side="right"))
    lists_positives = sides * positives.sum() <= limit
    sums, listed = _weigh(
        rows, bins, level_of, len(ends), near if rows.is_self else 0,
        lists_positives and rows.is_self,
    )  # fmt: skip
    positive, negative = sums
    if rows.is_self:
        exact = [
            np.concatenate(part)
            for part in zip(*listed.counts(rows, len(ends)), strict=True)
        ]
        negative[:, :near] = exact[1][:, :near]
        upto = len(ends) if lists_positives else near
        positive[:, :upto] = exact[0][:, :upto]
    return bins.upper_edges()[ends], positive.clip(0), negative.clip(0)


def _weigh(
    rows: Rows, bins: CostBins, level_of: Ints, levels: int, near: int, positives: bool
) -> tuple[Floats, PairList]:
    """Weights `[2, R, levels]` of positive and negative pairs, to first order in those
    of their rows, and a list of the near pairs, with all positive ones if it is asked.
    """
    sums = np.zeros((2, rows.draws, levels))
    counts = np.zeros((2, 0, levels))
    parts = [[np.zeros(0, "int64")] * 3 + [np.zeros(0, bool)]]
    start = -1
    for tile in rows.tiles():
        if tile.queries.start != start:
            _add_rows(sums, counts, rows, start)
            start = tile.queries.start
            counts = np.zeros((2, len(tile.costs), levels))
        places = level_of[bins.places(tile.costs)]
        places = _counted_places(places, tile, outside=levels)
        counts[0] += counts_per_row(np.where(tile.positive, places, levels), levels)
        counts[1] += counts_per_row(np.where(tile.positive, levels, places), levels)
        is_listed = places < near
        if positives:
            is_listed |= tile.positive & (places < levels)
        query, key = np.nonzero(is_listed)
        if len(query):
            found = places[is_listed].astype("int64"), tile.positive[is_listed]
            parts.append([query + start, key + tile.keys.start, *found])
    _add_rows(sums, counts, rows, start)
    first, second, level, positive = (np.concatenate(p) for p in zip(*parts, strict=True))
    return sums, PairList.by_level(first, second, level, positive)


def _add_rows(sums: Floats, counts: Floats, rows: Rows, start: int) -> None:
    """Adds counts `[2, n, levels]` of some rows, weighed, to `[2, R, levels]`."""
    if counts.shape[1] == 0:
        return
    weights = rows.weights_of(slice(start, start + counts.shape[1]))
    # Each pair is seen from both sides: w_i - 1/2 and w_j - 1/2, doubled.
    of_pairs = 2.0 * weights - 1.0 if rows.is_self else weights
    sums[0] += (weights if rows.draws_classes else of_pairs) @ counts[0]
    sums[1] += of_pairs @ counts[1]


def counts_per_row(places: Ints, levels: int) -> Floats:
    """How many of a row's places `[n, m]` are each level, `[n, levels]`."""
    width = levels + 1
    flat = places + width * np.arange(len(places))[:, None]
    counts = np.bincount(flat.ravel(), minlength=width * len(places))
    return counts.reshape(-1, width)[:, :levels].astype("float64")


def _counted_places(places: Ints, tile: Tile, outside: int = BINS) -> Ints:
    return places if tile.counted is None else np.where(tile.counted, places, outside)


def _coarse_ends(positives: Floats, everyone: Floats) -> Ints:
    """The last fine bin of each coarse one, ascending."""
    even = np.linspace(0.0, 1.0, _QUANTILES + 1)
    ends = [[BINS - 1]]
    for counts, shares in (
        (positives, even),
        (everyone - positives, np.concatenate([even, _TAIL])),
    ):
        sums = np.cumsum(counts)
        if sums[-1] > 0:
            ends.append(np.searchsorted(sums, shares * sums[-1]).clip(max=BINS - 1))
    return np.unique(np.concatenate(ends))


def _sample_costs(rows: Rows) -> Floats:
    """Costs of some pairs, among them positive ones."""
    random = np.random.default_rng(0)
    query = random.integers(len(rows.labels), size=_SAMPLE)
    key = random.integers(len(rows.key_labels), size=_SAMPLE)
    some = rows.distance.cost(rows.embeddings[query], rows.key_embeddings[key]).ravel()
    order = np.argsort(rows.key_labels, kind="stable")
    left = random.integers(max(len(order) - 1, 1), size=_SAMPLE)
    pair = order[left], order[np.minimum(left + 1, len(order) - 1)]
    near = rows.distance.paired(*(rows.key_embeddings[side] for side in pair))
    return np.concatenate([some, np.repeat(rows.distance.to_cost(near), 64)])
