import numpy as np
import pytest

from keras_similarity.retrieval_metrics.bndcg import bndcg
from keras_similarity.retrieval_metrics.map_at_k import average_precision_at_k
from keras_similarity.retrieval_metrics.precision_at_k import precision_at_k
from keras_similarity.retrieval_metrics.recall_at_k import recall_at_k
from tests.retrieval_metrics import loops

pytestmark = pytest.mark.keras_free

_RANDOM = np.random.default_rng(1)
MASK = _RANDOM.random((60, 8)) < _RANDOM.random((60, 1))
RELEVANT = _RANDOM.integers(0, 9, 60)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_recall(k):
    expected = [loops.recall(row, k) for row in MASK.tolist()]
    assert recall_at_k(MASK, k=k).tolist() == expected


@pytest.mark.parametrize("k", [1, 3, 8])
def test_ndcg(k):
    expected = [loops.ndcg(row, k) for row in MASK.tolist()]
    np.testing.assert_allclose(bndcg(MASK, k=k), expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize(
    "formula, loop",
    [
        (precision_at_k, loops.precision),
        (average_precision_at_k, loops.average_precision),
    ],
)
def test_precision_and_average_precision(formula, loop, k):
    expected = [loop(row, k, k) for row in MASK.tolist()]
    np.testing.assert_allclose(formula(MASK, k=k), expected, rtol=1e-12)
    rows = zip(MASK.tolist(), RELEVANT.tolist(), strict=True)
    expected = [loop(row, k, r) for row, r in rows]
    actual = formula(MASK, k=k, relevant=RELEVANT)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "formula", [recall_at_k, precision_at_k, average_precision_at_k, bndcg]
)
@pytest.mark.parametrize("k", [0, 9])
def test_k_is_checked(formula, k):
    with pytest.raises(ValueError, match=rf"`k` must be between 1 .*k={k}.*\(60, 8\)"):
        formula(MASK, k=k)
