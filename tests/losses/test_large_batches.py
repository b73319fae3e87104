"""Large batches take other ways than small ones, which are held against the peers."""

import numpy as np
import pytest

from keras_similarity.backend import framework, ops
from keras_similarity.pairs import masked
from keras_similarity.reducers import SubLoss
from keras_similarity.testing.backend import gradients
from tests.losses import every

# Enough for every way that depends on the number of pairs.
ROWS, WIDTH = 400, 8
# Not those without labels, nor the one whose memory is smaller than the batch.
NAMES = [
    name
    for name in every.names()
    if not every.takes_two_views(every.make(name))
    and name not in ("CrossBatchMemory", "ManifoldLoss")
]


def value_and_slopes(loss, labels, embeddings):
    def value(embeddings):
        return ops.sum(loss(labels, embeddings))

    slopes = gradients(value, embeddings)[0]
    return float(value(ops.convert_to_tensor(embeddings))), slopes


pytestmark = pytest.mark.skipif(
    framework() != "torch", reason="Such ways are there on torch alone."
)


def some_pairs():
    """Values `[400, 400]` and a mask of few of them, of none in the first row."""
    random = np.random.default_rng(1)
    mask = random.random((ROWS, ROWS)) < 0.01
    mask[0] = False
    values = random.normal(size=(ROWS, ROWS)).astype("float32")
    return ops.convert_to_tensor(values), ops.convert_to_tensor(mask)


def test_few_pairs_are_summed_row_by_row():
    values, mask = some_pairs()
    term = SubLoss(values, mask, kind="positive_pair")
    few = term.with_few_listed()
    assert few.values.shape == (int(mask.sum()),)
    for low in (None, 0.5):
        for found, expected in zip(
            few.sums(low, None), term.sums(low, None), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(few.dense().values, values * mask)
    np.testing.assert_array_equal(few.listed().indices, term.listed().indices)
    np.testing.assert_array_equal(few.listed().values, term.listed().values)


def test_the_log_of_a_sum_over_few_pairs_and_over_none():
    values, mask = some_pairs()

    def total(values):
        found = masked.masked_log_sum_exp(values * 50.0, mask)
        return ops.sum(ops.where(ops.isfinite(found), found, 0.0))

    found = np.asarray(masked.masked_log_sum_exp(values * 50.0, mask))[:, 0]
    allowed = np.where(mask, np.asarray(values, "float64") * 50.0, -np.inf)
    with np.errstate(divide="ignore"):
        expected = np.logaddexp.reduce(allowed, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[0] == -np.inf
    slopes = gradients(total, np.asarray(values))[0]
    assert np.isfinite(slopes).all()
    has_any = np.asarray(mask).any(axis=1)
    np.testing.assert_allclose(slopes.sum(axis=1), 50.0 * has_any, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_way_changes_nothing(name, monkeypatch):
    assert masked._MANY < ROWS**2
    loss = every.make(name)
    loss.training = False  # It remembers nothing.
    width = getattr(loss, "embedding_size", None) or WIDTH
    embeddings = np.random.default_rng(0).normal(size=(ROWS, width)).astype("float32")
    classes = getattr(loss, "num_classes", None) or ROWS // 4
    labels = np.arange(ROWS) % classes
    value, slopes = value_and_slopes(loss, labels, embeddings)
    monkeypatch.setattr(masked, "_MANY", ROWS**3)
    monkeypatch.setattr(masked, "_LARGE", ROWS**3)
    expected, expected_slopes = value_and_slopes(loss, labels, embeddings)
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    scale = np.abs(expected_slopes).max()
    np.testing.assert_allclose(slopes, expected_slopes, atol=2e-5 * scale)
