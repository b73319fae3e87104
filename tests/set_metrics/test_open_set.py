import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_similarity import distances, set_metrics
from keras_similarity.set_metrics.neighbors import nearest_keys
from keras_similarity.set_metrics.rows import check_rows

pytestmark = pytest.mark.keras_free

NAMES = ["open_set_auroc", "oscr", "fpr@tpr=0.95", "fpr@tpr=0.5"]
RANDOM = np.random.default_rng(0)
CENTERS = RANDOM.normal(size=(12, 5))
LABELS = RANDOM.integers(0, 12, 200)
EMBEDDINGS = CENTERS[LABELS] + 0.8 * RANDOM.normal(size=(200, 5))
KEY_LABELS = RANDOM.integers(0, 8, 60)  # Four classes are unknown.
KEYS = CENTERS[KEY_LABELS] + 0.8 * RANDOM.normal(size=(60, 5))


def by_loops(embeddings, labels, keys, key_labels, weights, own):
    answers = []
    for row, query in enumerate(np.asarray(embeddings, "float32")):
        costs = distances.get("cosine")(query[None], np.asarray(keys, "float32"))[0]
        costs = costs.astype("float64")
        others = np.ones(len(costs), bool)
        if own:
            costs[row], others[row] = np.inf, False
        nearest = int(np.argmin(costs))
        is_known = labels[row] in np.asarray(key_labels)[others]
        answers.append((costs[nearest], is_known, key_labels[nearest] == labels[row]))
    costs, known, right = (np.array(column) for column in zip(*answers, strict=True))
    return summed(costs, known, right, weights)


def summed(costs, known, right, weights):
    known_weight, unknown_weight = weights[known].sum(), weights[~known].sum()
    curve = [(0.0, 0.0, 0.0)]
    for threshold in np.unique(costs):
        near = costs <= threshold
        curve.append(
            (
                weights[near & known].sum() / known_weight,
                weights[near & known & right].sum() / known_weight,
                weights[near & ~known].sum() / unknown_weight,
            )
        )
    tpr, ccr, fpr = np.array(curve).T
    return {
        "open_set_auroc": roc_auc_score(known, -costs, sample_weight=weights),
        "oscr": np.trapezoid(ccr, fpr),
        "fpr@tpr=0.95": fpr[tpr >= 0.95].min(),
        "fpr@tpr=0.5": fpr[tpr >= 0.5].min(),
    }


@pytest.mark.parametrize("own", [False, True], ids=["keys", "itself"])
def test_values_are_those_of_the_queries_one_by_one(own):
    labels = np.concatenate([np.repeat(np.arange(40), 4), 40 + np.arange(40)])
    labels = labels if own else LABELS
    keys, key_labels = (EMBEDDINGS, labels) if own else (KEYS, KEY_LABELS)
    draws = RANDOM.multinomial(200, np.full(200, 1 / 200), size=5)
    options = {} if own else {"key_embeddings": keys, "key_labels": key_labels}
    values = set_metrics.compute_all(NAMES, EMBEDDINGS, labels, **options)
    weighted = set_metrics.compute_all(
        NAMES, EMBEDDINGS, labels, weights=draws, **options
    )
    arguments = EMBEDDINGS, labels, keys, key_labels
    plain = by_loops(*arguments, np.ones(200), own)
    assert values == pytest.approx(plain, abs=1e-9)
    assert 0 < plain["oscr"] < plain["open_set_auroc"] < 1
    for draw, weights in enumerate(draws):
        wanted = by_loops(*arguments, weights, own)
        found = {name: weighted[name][draw] for name in NAMES}
        assert found == pytest.approx(wanted, abs=1e-9)


def test_copies_are_neighbours_but_a_row_is_not_its_own():
    points, labels = [[0.0], [0.0], [0.0], [9.0]], [0, 0, 1, 2]
    # Of the copies, the first other one is nearest: row 1, row 0 and row 0.
    values = set_metrics.compute_all(["oscr", "open_set_auroc"], points, labels, "l2")
    assert values == {"oscr": 0.75, "open_set_auroc": 0.75}


@pytest.mark.parametrize("labels", [[0, 0, 1], [7, 8, 9]], ids=["known", "unknown"])
def test_without_one_kind_of_queries_there_is_no_value(labels):
    values = set_metrics.compute_all(
        NAMES, [[0.0], [1.0], [3.0]], labels, "l2",
        key_embeddings=[[0.0], [1.0]], key_labels=[0, 1],
    )  # fmt: skip
    assert np.isnan(list(values.values())).all()


def test_one_row_has_no_neighbour():
    values = set_metrics.compute_all(NAMES, [[0.0]], [0], weights=[[1], [2]])
    assert all(np.isnan(value).all() and len(value) == 2 for value in values.values())


def test_among_many_copies_the_first_others_are_neighbours():
    rows = check_rows(np.ones((10, 3)), np.zeros(10), "cosine")
    found, costs = nearest_keys(rows, 2)
    others = [[j for j in range(10) if j != i][:2] for i in range(10)]
    assert found.tolist() == others
    assert costs.shape == (10, 2)
