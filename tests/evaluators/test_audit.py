import numpy as np
import pytest

from keras_similarity.evaluators import audit
from keras_similarity.evaluators.audit_votes import count_votes

pytestmark = pytest.mark.keras_free


def flipped(labels, seed):
    """Labels of which 2 % are those of another class, and the rows of these."""
    random = np.random.default_rng(seed)
    names = np.unique(labels)
    rows = random.choice(len(labels), len(labels) // 50, replace=False)
    steps = random.integers(1, len(names), len(rows))
    wrong = labels.copy()
    wrong[rows] = names[(np.searchsorted(names, labels[rows]) + steps) % len(names)]
    return wrong, rows


@pytest.fixture(scope="module")
def digits():
    return pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)


@pytest.mark.parametrize("seed", range(3))
def test_flipped_labels_of_digits_come_first(digits, seed):
    pictures, labels = digits
    wrong, rows = flipped(labels, seed)
    errors = audit(pictures, wrong).label_errors
    first = errors.head(int(0.03 * len(labels)))
    assert np.isin(rows, first["row"]).mean() >= 0.95
    suggested = errors.set_index("row")["suggested"][rows]
    assert (suggested == labels[rows]).mean() >= 0.9
    assert errors["score"].is_monotonic_decreasing
    assert (errors["label"] == wrong[errors["row"]]).all()


def test_no_class_is_confused_with_itself(digits):
    pairs = audit(*digits, min_confusion=0.0).confusable
    assert len(pairs) > 10
    assert (pairs["label"] < pairs["other"]).all()


def test_an_inner_product_and_few_examples_find_them_too(digits):
    pictures, labels = digits
    # One class has 20 times as many rows as the others.
    kept = np.flatnonzero((labels == 3) | (np.arange(len(labels)) % 20 == 0))
    wrong, rows = flipped(labels[kept], 0)
    unit = pictures[kept] / np.linalg.norm(pictures[kept], axis=1, keepdims=True)
    for distance in ("cosine", "inner_product"):
        errors = audit(unit, wrong, distance=distance, k=10).label_errors
        assert np.isin(rows, errors.head(12)["row"]).all()


def votes_by_loops(embeddings, labels, k):
    matrix = np.abs(embeddings - embeddings.T)
    shares = []
    for row in range(len(labels)):
        others = [j for j in np.argsort(matrix[row], kind="stable") if j != row][:k]
        costs = matrix[row, others]
        votes = {}
        for other, cost in zip(others, costs, strict=True):
            size = np.sum(labels == labels[other]) - (labels[other] == labels[row])
            weight = np.exp(-(cost - costs[0]) / (costs[-1] - costs[0])) / (size + k)
            votes[labels[other]] = votes.get(labels[other], 0.0) + weight
        shares.append({name: vote / sum(votes.values()) for name, vote in votes.items()})
    return shares


def test_votes_are_those_of_loops():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 40)
    embeddings = (labels + random.normal(size=40))[:, None].astype("float32")
    found = audit(embeddings, labels, distance="manhattan", k=7, min_confusion=0.0)
    shares = votes_by_loops(embeddings, labels, 7)
    scores = found.label_errors.set_index("row")
    pairs = {}
    for row, share in enumerate(shares):
        own = share.pop(labels[row], 0.0)
        assert scores["score"][row] == pytest.approx(1 - own, abs=1e-6)
        best = max(share.values(), default=0.0)
        suggested = scores["suggested"][row]
        assert share.get(suggested, 0.0) == pytest.approx(best, abs=1e-6)
        for other, vote in share.items():
            if vote > own:
                pair = tuple(sorted((labels[row], other)))
                pairs[pair] = pairs.get(pair, 0) + 1
    assert {
        (pair.label, pair.other): pair.rows for pair in found.confusable.itertuples()
    } == pairs
    sizes = np.bincount(labels)
    for pair in found.confusable.itertuples():
        both = sizes[pair.label] + sizes[pair.other]
        assert pair.score == pytest.approx(pair.rows / both)


def test_blocks_of_votes_change_nothing(monkeypatch):
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 60)
    found, costs = random.integers(0, 60, (60, 6)), np.sort(random.random((60, 6)))
    whole = count_votes(labels, found, costs)
    monkeypatch.setattr("keras_similarity.evaluators.audit_votes._PAIRS", 150)
    parts = count_votes(labels, found, costs)
    np.testing.assert_array_equal(parts.shares, whole.shares)
    np.testing.assert_array_equal(parts.own, whole.own)


def test_a_large_class_does_not_win_by_its_size():
    # Row 0 lies between three of its class, of 4, and four of one of 100.
    points = [0.0, 1.0, -1.0, 1.1, 1.0, -1.0, 1.1, -1.1, *np.linspace(50, 60, 96)]
    labels = [0, 0, 0, 0, 1, 1, 1, 1, *np.ones(96, int)]
    found = audit(np.array(points)[:, None], labels, distance="l1", k=7).label_errors
    assert found.set_index("row")["score"][0] < 0.2


def test_a_class_of_one_row_does_not_outvote_its_surroundings():
    points = np.linspace(0.0, 1.0, 30)[:, None]
    labels = np.where(np.arange(30) == 15, 8, 7)
    found = audit(points, labels, distance="l1", k=10)
    assert found.label_errors["score"].max() < 0.5
    assert len(found.confusable) == 0
    assert found.singletons["suggested"].tolist() == [7]


@pytest.fixture
def sets():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(60, 8)).astype("float32")
    embeddings[41] = embeddings[3] * 2  # The same direction: across sets.
    embeddings[25] = embeddings[24]  # Within one.
    return embeddings, np.arange(60) % 6, ["train"] * 40 + ["query"] * 20


@pytest.mark.parametrize("distance", ["cosine", "cosine_similarity", "inner_product"])
def test_duplicates_across_sets_come_first(sets, distance):
    embeddings, labels, names = sets
    if distance == "inner_product":
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = audit(embeddings, labels, sets=names, distance=distance).duplicates
    pairs = found[["row", "other", "set", "other_set"]].to_numpy().tolist()
    assert pairs == [[3, 41, "train", "query"], [24, 25, "train", "train"]]
    assert found["distance"].max() < 1e-3
    assert found["other_label"].tolist() == [41 % 6, 25 % 6]


def test_a_copy_across_sets_is_found_behind_many_within():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(50, 4))
    embeddings[:30] = embeddings[0]
    embeddings[45] = embeddings[0]
    names = ["train"] * 40 + ["query"] * 10
    found = audit(embeddings, np.zeros(50), sets=names, k=3).duplicates
    assert 45 in found[found["set"] != found["other_set"]]["other"].tolist()


def test_the_limit_of_duplicates_is_a_choice(sets):
    embeddings, labels, _ = sets
    matrix = (
        1 - (unit := embeddings / np.linalg.norm(embeddings, axis=1)[:, None]) @ unit.T
    )
    close = {(i, j) for i in range(60) for j in range(i + 1, 60) if matrix[i, j] <= 0.2}
    found = audit(embeddings, labels, duplicate_distance=0.2).duplicates
    assert set(zip(found["row"], found["other"], strict=True)) == close
    assert list(found.columns) == ["row", "other", "label", "other_label", "distance"]


def test_classes_of_one_row_are_no_label_errors():
    points = [[0.0], [0.1], [5.0], [5.1], [5.2], [9.0]]
    found = audit(points, [0, 0, 1, 1, 7, 8], distance="euclidean", k=2)
    assert sorted(found.label_errors["row"]) == [0, 1, 2, 3]
    assert found.singletons["row"].tolist() == [4, 5]
    assert found.singletons["suggested"].tolist() == [1, 7]
    np.testing.assert_allclose(found.singletons["distance"], [0.1, 3.8], rtol=1e-5)
    assert "2 singletons" in repr(found)


def test_classes_of_one_place_are_told_as_confusable():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 40)
    place = np.array([0, 1, 2, 3, 3])[labels]  # The last two are the same.
    embeddings = 10 * np.eye(4)[place] + random.normal(size=(200, 4))
    found = audit(embeddings, labels).confusable
    assert found[["label", "other"]].to_numpy().tolist() == [[3, 4]]
    assert found["score"][0] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("rows", [0, 1])
def test_next_to_nothing_is_nothing_suspicious(rows):
    found = audit(np.ones((rows, 3)), [4] * rows, sets=["train"] * rows)
    assert len(found.label_errors) == len(found.duplicates) == len(found.confusable) == 0
    assert list(found.label_errors.columns) == ["row", "label", "suggested", "score"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "`k` must be at least 1"),
        ({"sets": ["train"]}, "`sets` must name the set of each row, 2"),
        ({"duplicate_distance": -1.0}, "`duplicate_distance` must be at least 0"),
    ],
)
def test_bad_arguments_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        audit([[0.0], [1.0]], [0, 1], **options)
