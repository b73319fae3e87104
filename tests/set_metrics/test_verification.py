import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from keras_similarity import distances, set_metrics
from keras_similarity.set_metrics import AUROC, OPIS, TARAtFAR, pair_counts, rows

pytestmark = pytest.mark.keras_free

NAMES = ["auroc", "eer", "tar@far=0.01", "fnmr@fmr=0.1"]
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 25, 150)
EMBEDDINGS = (RANDOM.normal(size=(25, 6))[LABELS] + RANDOM.normal(size=(150, 6))).astype(
    "float32"
)
DRAWS = RANDOM.multinomial(150, np.full(150, 1 / 150), size=12)


def pairs_of(distance, weights=None, keys=None, key_labels=None):
    """Cost, positive or not, and weight of each pair, by loops."""
    distance = distances.get(distance)
    matrix = distance.cost(EMBEDDINGS, EMBEDDINGS if keys is None else keys)
    weights = np.ones(150) if weights is None else weights
    found = []
    for i in range(150):
        for j in range(matrix.shape[1]):
            if keys is None and i != j:
                weight = weights[i] * weights[j]
                found.append((matrix[i, j], LABELS[i] == LABELS[j], weight))
            elif keys is not None:
                found.append((matrix[i, j], LABELS[i] == key_labels[j], weights[i]))
    costs, positive, weight = zip(*found, strict=True)
    return np.array(costs), np.array(positive), np.array(weight)


def expected(costs, positive, weights):
    """By scikit-learn's curve, read as the docstrings say."""
    far, tar, _ = sklearn_roc_curve(
        positive, -costs, sample_weight=weights, drop_intermediate=False
    )
    right = int(np.argmax(far >= 1 - tar))
    share = np.interp(0.0, (far + tar - 1)[right - 1 : right + 1], [0.0, 1.0])
    return {
        "auroc": roc_auc_score(positive, -costs, sample_weight=weights),
        "eer": far[right - 1] + share * (far[right] - far[right - 1]),
        "tar@far=0.01": tar[far <= 0.01].max(),
        "fnmr@fmr=0.1": 1 - tar[far <= 0.1].max(),
    }


def assert_close(actual, wanted, tolerance=1e-9):
    for name, value in wanted.items():
        assert actual[name] == pytest.approx(value, abs=tolerance), name


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "inner_product", "snr"])
def test_values_are_those_of_the_pairs_one_by_one(distance):
    actual = set_metrics.compute_all(NAMES, EMBEDDINGS, LABELS, distance)
    assert_close(actual, expected(*pairs_of(distance)))


def test_queries_against_keys():
    keys, key_labels = EMBEDDINGS[:40] + 0.1, LABELS[:40]
    actual = set_metrics.compute_all(
        NAMES, EMBEDDINGS, LABELS, key_embeddings=keys, key_labels=key_labels
    )
    assert_close(actual, expected(*pairs_of("cosine", None, keys, key_labels)))


@pytest.mark.parametrize("with_keys", [False, True])
def test_weights_are_those_of_the_pairs(with_keys):
    keys = (EMBEDDINGS[:40] + 0.1, LABELS[:40]) if with_keys else (None, None)
    actual = set_metrics.compute_all(
        NAMES,
        EMBEDDINGS,
        LABELS,
        weights=DRAWS,
        key_embeddings=keys[0],
        key_labels=keys[1],
    )
    for draw, weights in enumerate(DRAWS):
        wanted = expected(*pairs_of("cosine", weights, *keys))
        assert_close({name: actual[name][draw] for name in NAMES}, wanted)


def test_where_classes_are_drawn_a_positive_pair_weighs_as_its_class():
    per_class = RANDOM.multinomial(25, np.full(25, 1 / 25), size=6)
    actual = AUROC().compute(EMBEDDINGS, LABELS, weights=per_class[:, LABELS])
    costs, positive, _ = pairs_of("cosine")
    first, second = np.nonzero(~np.eye(150, dtype=bool))
    for draw, drawn in enumerate(per_class):
        weights = drawn[LABELS[first]] * np.where(positive, 1, drawn[LABELS[second]])
        wanted = roc_auc_score(positive, -costs, sample_weight=weights)
        assert actual[draw] == pytest.approx(wanted)


def test_results_have_the_names_that_were_given():
    metrics = ["tar@far=1e-2", "AUROC", TARAtFAR(0.1), AUROC(name="mine")]
    values = set_metrics.compute_all(metrics, EMBEDDINGS, LABELS)
    assert list(values) == ["tar@far=1e-2", "AUROC", "tar@far=0.1", "mine"]
    assert values["AUROC"] == values["mine"] != values["tar@far=0.1"]


def test_pairs_may_be_given():
    first, second = RANDOM.integers(0, 75, 300), RANDOM.integers(75, 150, 300)
    second[:80] = [np.flatnonzero((LABELS[i] == LABELS) & (np.arange(150) != i))[0]
                   for i in first[:80]]  # fmt: skip
    costs = distances.get("cosine").paired(EMBEDDINGS[first], EMBEDDINGS[second])
    actual = AUROC(pairs=(first, second)).compute(EMBEDDINGS, LABELS)
    assert actual == pytest.approx(roc_auc_score(LABELS[first] == LABELS[second], -costs))


def test_in_bins_values_are_nearly_those_of_single_pairs(monkeypatch):
    exact = set_metrics.compute_all(NAMES, EMBEDDINGS, LABELS)
    monkeypatch.setattr(pair_counts, "EXACT_PAIRS", 0)
    assert_close(set_metrics.compute_all(NAMES, EMBEDDINGS, LABELS), exact, 1e-5)


def test_tiles_change_nothing(monkeypatch):
    whole = set_metrics.compute_all([*NAMES, "opis", "uniformity"], EMBEDDINGS, LABELS)
    monkeypatch.setattr(rows, "_QUERY_TILE", 37)
    monkeypatch.setattr(rows, "_KEY_TILE", 23)
    monkeypatch.setattr(pair_counts, "EXACT_PAIRS", 0)
    tiled = set_metrics.compute_all([*NAMES, "opis", "uniformity"], EMBEDDINGS, LABELS)
    assert_close(tiled, whole, 1e-5)


@pytest.mark.parametrize("distance", ["cosine", "manhattan"])
def test_near_pairs_in_bins_are_weighed_as_products(monkeypatch, distance):
    """Those that fit the budget exactly, the others to first order."""
    names = ["auroc", "tar@far=0.01"]
    exact = set_metrics.compute_all(names, EMBEDDINGS, LABELS, distance, weights=DRAWS)
    monkeypatch.setattr(pair_counts, "EXACT_PAIRS", 0)
    monkeypatch.setattr(rows, "_QUERY_TILE", 64)
    actual = set_metrics.compute_all(names, EMBEDDINGS, LABELS, distance, weights=DRAWS)
    np.testing.assert_allclose(actual["auroc"], exact["auroc"], atol=5e-4)
    np.testing.assert_allclose(actual["tar@far=0.01"], exact["tar@far=0.01"], atol=0.02)


def many_rows(drawn_from):
    """Rows of 5 classes, and weights of 60 draws of rows or classes."""
    labels = RANDOM.integers(0, 5, 400)
    embeddings = RANDOM.normal(size=(5, 4))[labels] + RANDOM.normal(size=(400, 4))
    draws = RANDOM.multinomial(drawn_from, np.full(drawn_from, 1 / drawn_from), size=60)
    return embeddings, labels, draws if drawn_from == 400 else draws[:, labels]


def test_first_order_weights_spread_as_products_do(monkeypatch):
    embeddings, labels, draws = many_rows(400)
    exact = AUROC().compute(embeddings, labels, weights=draws)
    monkeypatch.setattr(pair_counts, "EXACT_WEIGHTS", 0)
    first_order = AUROC().compute(embeddings, labels, weights=draws)
    assert first_order.std() == pytest.approx(exact.std(), rel=0.05)
    assert np.corrcoef(exact, first_order)[0, 1] > 0.98


def test_drawn_classes_in_bins(monkeypatch):
    embeddings, labels, draws = many_rows(5)
    exact = AUROC().compute(embeddings, labels, weights=draws)
    monkeypatch.setattr(pair_counts, "EXACT_PAIRS", 0)
    in_bins = AUROC().compute(embeddings, labels, weights=draws)
    np.testing.assert_allclose(in_bins, exact, atol=2e-4)


def test_equal_distances_are_accepted_together():
    # Positive: 0, 1; negative: 1, 1, 2, 2 (copies of points, on a line).
    points, labels = [[0.0], [0.0], [1.0], [2.0]], [0, 0, 1, 1]
    values = set_metrics.compute_all(
        ["auroc", "tar@far=0.4", "tar@far=0.5"], points, labels, "manhattan"
    )
    assert values["auroc"] == pytest.approx((4 + 2 * 0.5 + 2) / 8)
    assert values["tar@far=0.4"] == 0.5
    assert values["tar@far=0.5"] == 1.0


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["positive", "negative"])
def test_without_one_kind_of_pairs_there_is_no_value(labels):
    names = [*NAMES, "opis"]
    points, draws = [[0.0], [1.0], [3.0]], [[1, 1, 1], [0, 2, 1]]
    values = set_metrics.compute_all(names, points, labels, "euclidean")
    weighted = set_metrics.compute_all(names, points, labels, "euclidean", weights=draws)
    assert np.isnan(list(values.values())).all()
    assert all(np.isnan(value).all() and len(value) == 2 for value in weighted.values())


def test_a_draw_without_positives_has_no_value():
    points, labels = [[0.0], [1.0], [3.0], [4.0]], [0, 0, 1, 2]
    draws = [[1, 1, 1, 1], [2, 0, 1, 1]]
    values = AUROC().compute(points, labels, "euclidean", weights=draws)
    assert values[0] == pytest.approx(0.9)  # A negative pair is as near.
    assert np.isnan(values[1])


def test_order_scale_and_turns_change_nothing():
    values = set_metrics.compute_all([*NAMES, "opis"], EMBEDDINGS, LABELS, "euclidean")
    order = RANDOM.permutation(150)
    turn = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0]
    moved = (3.0 * EMBEDDINGS @ turn)[order]
    again = set_metrics.compute_all([*NAMES, "opis"], moved, LABELS[order], "euclidean")
    assert_close(again, values, 2e-3)


def opis_by_loops(low, high):
    matrix = distances.get("cosine")(EMBEDDINGS).astype("float64")
    np.fill_diagonal(matrix, np.nan)
    same = LABELS[:, None] == LABELS
    negatives = np.sort(matrix[~same])
    every = np.unique(matrix[~np.isnan(matrix)])
    rates = np.searchsorted(negatives, every, side="right") / len(negatives)
    ends = [every[rates <= rate].max() for rate in (low, high)]
    curves = []
    for label in np.unique(LABELS):
        mine = label == LABELS
        if mine.sum() < 2:
            continue
        curve = []
        for threshold in np.linspace(*ends, 51):
            near = matrix[mine] <= threshold + 1e-12
            found = near[same[mine]].sum() / (mine.sum() * (mine.sum() - 1))
            kept_out = 1 - near[~same[mine]].mean()
            total = found + kept_out
            curve.append(2 * found * kept_out / total if total else 0.0)
        curves.append(curve)
    variances = np.var(curves, axis=0)
    return np.trapezoid(variances, dx=1 / 50)


def test_opis_is_the_variance_between_the_classes_curves():
    actual = OPIS().compute(EMBEDDINGS, LABELS)
    assert actual == pytest.approx(opis_by_loops(0.01, 0.1), rel=1e-6)
    wider = OPIS(far_low=0.001, far_high=0.5).compute(EMBEDDINGS, LABELS)
    assert wider == pytest.approx(opis_by_loops(0.001, 0.5), rel=1e-6)
    assert wider != pytest.approx(actual, rel=0.1)


def test_opis_of_draws():
    ones = np.ones((1, 150), "int64")
    uneven = np.concatenate([ones, DRAWS[:3]])
    values = OPIS().compute(EMBEDDINGS, LABELS, weights=uneven)
    plain = OPIS().compute(EMBEDDINGS, LABELS)
    assert values[0] == pytest.approx(plain)
    assert np.ptp(values) > 0
    of_classes = OPIS().compute(EMBEDDINGS, LABELS, weights=2 * ones)
    assert of_classes[0] == pytest.approx(plain)


def test_the_curve_is_that_of_scikit_learn():
    curve = set_metrics.roc_curve(EMBEDDINGS, LABELS, "inner_product")
    far, tar, scores = sklearn_roc_curve(
        *[pairs_of("inner_product")[1], -pairs_of("inner_product")[0]],
        drop_intermediate=False,
    )
    np.testing.assert_allclose(curve.false_accept_rate, far[1:], atol=1e-12)
    np.testing.assert_allclose(curve.true_accept_rate, tar[1:], atol=1e-12)
    np.testing.assert_allclose(curve.thresholds, scores[1:])
    assert curve.is_similarity


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TARAtFAR(far=0), "`far` must be between 0 and 1"),
        (lambda: OPIS(0.1, 0.01), "`far_low` must be less"),
        (lambda: set_metrics.get("tar@far=much"), "must have a number"),
        (lambda: AUROC(([0], [0])).compute([[1.0], [2.0]], [0, 1]), "with itself"),
        (lambda: AUROC(([0], [7])).compute([[1.0], [2.0]], [0, 1]), "row numbers from 0"),
        (lambda: AUROC().compute([[1.0]], [0], weights=[1]), "shape .draws, rows"),
        (lambda: AUROC().compute([[1.0]], [0], weights=[[-1]]), "from 0"),
        (lambda: AUROC().compute([[1.0]], [0], weights=[[0]]), "above 0 in each draw"),
        (lambda: AUROC().compute([[1.0]], None), "`labels` must be given"),
        (lambda: AUROC().compute([[1.0]], [0], key_labels=[0]), "`key_labels` must come"),
        (lambda: set_metrics.roc_curve([[1.0], [2.0]], [0, 0]), "a positive and a negat"),
    ],
)
def test_bad_arguments_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", sorted(set(set_metrics.registry.names())))
def test_each_metric_survives_its_config(name):
    metric = set_metrics.get(name)
    again = set_metrics.deserialize(set_metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
