import numpy as np
import pytest

from keras_similarity import set_metrics
from keras_similarity.set_metrics import (
    Alignment,
    EffectiveRank,
    Hubness,
    Uniformity,
    alignment,
    effective_rank,
    uniformity,
)

pytestmark = pytest.mark.keras_free

RANDOM = np.random.default_rng(0)
LABELS = np.sort(np.concatenate([np.arange(20), RANDOM.integers(0, 20, 70)]))
EMBEDDINGS = RANDOM.normal(size=(20, 7))[LABELS] + RANDOM.normal(size=(90, 7))
DRAWS = RANDOM.multinomial(90, np.full(90, 1 / 90), size=5)
ON_SPHERE = EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)


def alignment_by_loops(weights, alpha=2.0, keys=None, key_labels=None, squared=True):
    own = keys is None
    keys, key_labels = (ON_SPHERE, LABELS) if own else (keys, key_labels)
    total = count = 0.0
    for i in range(90):
        for j in range(len(keys)):
            if LABELS[i] == key_labels[j] and not (own and i == j):
                weight = weights[i] * (weights[j] if own and squared else 1)
                total += weight * np.linalg.norm(ON_SPHERE[i] - keys[j]) ** alpha
                count += weight
    return total / count


def uniformity_by_loops(weights, t=2.0):
    total = count = 0.0
    for i in range(90):
        for j in range(90):
            if i != j:
                weight = weights[i] * weights[j]
                total += weight * np.exp(-t * np.sum((ON_SPHERE[i] - ON_SPHERE[j]) ** 2))
                count += weight
    return np.log(total / count)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_alignment_is_the_mean_over_positive_pairs(alpha):
    metric = Alignment(alpha)
    assert metric.compute(EMBEDDINGS, LABELS) == pytest.approx(
        alignment_by_loops(np.ones(90), alpha), rel=1e-5
    )
    for value, draw in zip(
        metric.compute(EMBEDDINGS, LABELS, weights=DRAWS), DRAWS, strict=True
    ):
        assert value == pytest.approx(alignment_by_loops(draw, alpha), rel=1e-5)


def test_alignment_of_queries_with_keys_and_of_drawn_classes():
    keys, key_labels = ON_SPHERE[::-1][:30], LABELS[::-1][:30]
    values = Alignment().compute(
        EMBEDDINGS, LABELS, weights=DRAWS, key_embeddings=keys, key_labels=key_labels
    )
    for value, draw in zip(values, DRAWS, strict=True):
        wanted = alignment_by_loops(draw, 2.0, keys, key_labels)
        assert value == pytest.approx(wanted, rel=1e-5)
    drawn = RANDOM.multinomial(20, np.full(20, 0.05))[LABELS]
    value = Alignment().compute(EMBEDDINGS, LABELS, weights=[drawn])
    wanted = alignment_by_loops(drawn, squared=False)
    assert value[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_uniformity_is_the_log_of_the_mean_kernel(t):
    metric = Uniformity(t)
    assert metric.compute(EMBEDDINGS, None) == pytest.approx(
        uniformity_by_loops(np.ones(90), t), rel=1e-5
    )
    values = metric.compute(EMBEDDINGS, None, weights=DRAWS)
    for value, draw in zip(values, DRAWS, strict=True):
        assert value == pytest.approx(uniformity_by_loops(draw, t), rel=1e-5)


def test_uniformity_of_drawn_classes():
    drawn = RANDOM.multinomial(20, np.full(20, 0.05))[LABELS]
    (value,) = Uniformity().compute(EMBEDDINGS, LABELS, weights=[drawn])
    kernel = np.exp(-2 * ((ON_SPHERE[:, None] - ON_SPHERE) ** 2).sum(axis=2))
    same = LABELS[:, None] == LABELS
    weights = np.where(same, drawn[:, None], np.outer(drawn, drawn)) * (1 - np.eye(90))
    wanted = np.log((weights * kernel).sum() / weights.sum())
    assert value == pytest.approx(wanted, rel=1e-5)


def test_first_order_weights_are_near_the_products(monkeypatch):
    labels = RANDOM.integers(0, 6, 500)
    embeddings = RANDOM.normal(size=(6, 4))[labels] + RANDOM.normal(size=(500, 4))
    draws = RANDOM.multinomial(500, np.full(500, 1 / 500), size=100)
    names = ["alignment", "uniformity", "effective_rank"]
    exact = set_metrics.compute_all(names, embeddings, labels, weights=draws)
    monkeypatch.setattr(alignment, "EXACT_WEIGHTS", 0)
    monkeypatch.setattr(uniformity, "_EXACT_PRODUCTS", 0)
    monkeypatch.setattr(effective_rank, "_EXACT_PRODUCTS", 0)
    first_order = set_metrics.compute_all(names, embeddings, labels, weights=draws)
    for name in names:
        assert not np.array_equal(first_order[name], exact[name])
        assert first_order[name].std() == pytest.approx(exact[name].std(), rel=0.1)
        assert np.corrcoef(exact[name], first_order[name])[0, 1] > 0.95


def test_effective_rank_is_the_entropy_of_the_singular_values():
    def by_svd(embeddings):
        singular = np.linalg.svd(embeddings, compute_uv=False)
        shares = singular / singular.sum()
        return np.exp(-(shares * np.log(shares)).sum())

    assert EffectiveRank().compute(EMBEDDINGS, None) == pytest.approx(
        by_svd(EMBEDDINGS), rel=1e-5
    )
    values = EffectiveRank().compute(EMBEDDINGS, None, weights=DRAWS)
    for value, draw in zip(values, DRAWS, strict=True):
        assert value == pytest.approx(
            by_svd(np.repeat(EMBEDDINGS, draw, axis=0)), rel=1e-5
        )


def test_effective_rank_counts_the_directions():
    assert EffectiveRank().compute(np.eye(6), None) == pytest.approx(6)
    on_a_line = np.outer(np.arange(1, 9), np.ones(6))
    assert EffectiveRank().compute(on_a_line, None) == pytest.approx(1)
    assert np.isnan(EffectiveRank().compute(np.zeros((4, 3)), None))


@pytest.mark.parametrize("k", [3, 10])
def test_hubness_is_the_skewness_of_the_occurrences(k):
    matrix = ((EMBEDDINGS[:, None] - EMBEDDINGS) ** 2).sum(axis=2)
    np.fill_diagonal(matrix, np.inf)
    found = np.argsort(matrix, axis=1)[:, :k]

    def by_numpy(weights):
        counts = sum(w * np.bincount(row, minlength=90) for w, row in
                     zip(weights, found, strict=True))  # fmt: skip
        mean = np.average(counts, weights=weights)
        second, third = (
            np.average((counts - mean) ** p, weights=weights) for p in (2, 3)
        )
        return third / second**1.5

    metric = Hubness(k)
    assert metric.compute(EMBEDDINGS, None, "l2") == pytest.approx(by_numpy(np.ones(90)))
    values = metric.compute(EMBEDDINGS, None, "l2", weights=DRAWS)
    for value, draw in zip(values, DRAWS, strict=True):
        assert value == pytest.approx(by_numpy(draw))


def test_what_is_not_defined_is_nan():
    one = {"alignment": [[1.0, 0.0]], "uniformity": [[1.0, 0.0]]}
    assert all(np.isnan(set_metrics.get(n).compute(x, [0])) for n, x in one.items())
    ring = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
    assert np.isnan(Hubness(3).compute(ring, None, "l2"))  # All occur three times.
    assert np.isnan(Hubness(4).compute(ring, None, "l2"))
    assert Uniformity().compute(np.ones((5, 3)), None) == pytest.approx(0.0, abs=1e-5)
    assert Alignment().compute(np.ones((5, 3)), [0] * 5) == pytest.approx(0.0, abs=1e-9)


def test_turns_and_scales_change_nothing():
    turn = np.linalg.qr(RANDOM.normal(size=(7, 7)))[0]
    names = ["alignment", "uniformity", "effective_rank", "hubness"]
    values = set_metrics.compute_all(names, EMBEDDINGS, LABELS)
    again = set_metrics.compute_all(names, 5.0 * EMBEDDINGS @ turn, LABELS)
    assert again == pytest.approx(values, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Alignment(0), "`alpha` must be greater"),
        (lambda: Uniformity(-1), "`t` must be greater"),
        (lambda: Hubness(0), "`k` must be at least 1"),
    ],
)
def test_bad_options_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()
