"""How many dimensions embeddings use."""

from __future__ import annotations

import numpy as np

from keras_similarity.set_metrics.base import SetMetric, register
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats

# Multiplications up to which each draw gets principal directions of its own.
_EXACT_PRODUCTS = 2**36
# Weights held at once: 32 MiB.
_WEIGHTS = 2**22


@register("effective_rank", "rankme")
class EffectiveRank(SetMetric):
    """Effective rank: `exp(H(p))`, with `p = s / sum(s)` of the singular values `s`.

    From 1 (all embeddings on one line through 0) to the embedding size. This is Roy and
    Vetterli's, which RankMe applies to embeddings `[N, D]` as they are, not centred; ours
    is without RankMe's epsilon of 1e-7 in `p`. Singular values below 1e-7 of the largest
    are rounding, and count as 0. The distance, labels and keys play no role; a row counts
    as often as a draw holds it. NaN if all embeddings are 0. Above 2**36 multiplications
    (`N R D**2`) a draw's singular values are those along the set's principal directions.

    Reference:
        [Roy and Vetterli, 2007](https://ieeexplore.ieee.org/document/7098875),
        [Garrido et al., 2023](https://arxiv.org/abs/2210.02885)

    Example:
        >>> from keras_similarity.set_metrics import EffectiveRank
        >>> round(EffectiveRank().compute([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], None), 6)
        2.0
    """

    default_name = "effective_rank"
    needs_labels = False

    def summarize(self, rows: Rows) -> Floats:
        """Eigenvalues `[R, D]` of each draw's Gram matrix of the features."""
        embeddings = rows.embeddings.astype("float64")
        size, dim = embeddings.shape
        if rows.weights is None or rows.draws * size * dim**2 <= _EXACT_PRODUCTS:
            grams = np.zeros((rows.draws, dim, dim))
            for draw, gram in enumerate(grams):
                (weights,) = rows.weights_of(slice(None), slice(draw, draw + 1))
                gram += (embeddings * weights[:, None]).T @ embeddings
            return np.linalg.eigvalsh(grams)
        _, directions = np.linalg.eigh(embeddings.T @ embeddings)
        values = np.zeros((rows.draws, dim))
        step = max(_WEIGHTS // rows.draws, 1)
        for start in range(0, size, step):
            part = slice(start, start + step)
            values += rows.weights_of(part) @ np.square(embeddings[part] @ directions)
        return values

    def value(self, summary: Floats) -> Floats:
        singular = np.sqrt(summary.clip(0))
        singular[singular < 1e-7 * singular.max(axis=1, initial=0, keepdims=True)] = 0.0
        totals = singular.sum(axis=1, keepdims=True)
        shares = singular / np.where(totals > 0, totals, np.nan)
        logs = np.log(np.where(shares > 0, shares, 1.0))
        return np.exp(-(shares * logs).sum(axis=1))
