import numpy as np
import pytest

from keras_similarity.evaluators import compare, evaluate
from keras_similarity.evaluators.comparison import paired_p_values
from keras_similarity.evaluators.intervals import MOST_UNITS, Units

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(4)
LABELS = np.arange(240) % 60
CENTERS = RNG.normal(size=(60, 8))[LABELS]
NOISE = RNG.normal(size=(240, 8))
METRICS = ["r_precision", "precision_at_1"]


def model(noise, metrics=METRICS, seed=None, **options):
    extra = 0.0 if seed is None else np.random.default_rng(seed).normal(size=(240, 8))
    return evaluate(CENTERS + noise * NOISE + 0.3 * extra, LABELS, metrics, **options)


def test_a_difference_is_that_of_the_values():
    a, b = model(1.2), model(0.7)
    comparison = compare(a, b)
    for name in METRICS:
        difference = comparison.difference(name)
        assert difference == pytest.approx(b[name] - a[name], rel=1e-12)
        low, high = comparison.interval(name)
        assert 0 < low < difference < high
        assert comparison.p_value(name) < 0.01 and comparison.is_better(name)
        back = compare(b, a)
        assert back.interval(name) == pytest.approx((-high, -low))
        assert not back.is_better(name)


def test_pairs_are_surer_than_the_two_intervals():
    a, b = model(0.9), model(0.8)
    difference = compare(a, b).interval("r_precision")
    one, other = a.interval("r_precision"), b.interval("r_precision")
    apart = np.hypot(one.high - one.low, other.high - other.low)
    assert difference.high - difference.low < 0.6 * apart


def test_equal_models_do_not_differ_and_the_resolution_says_how_little_that_means():
    comparison = compare(model(0.9), model(0.9))
    assert comparison.difference("r_precision") == 0
    low, high = comparison.interval("r_precision")
    assert low < 0 < high and comparison.p_value("r_precision") == 1
    assert 0.01 < comparison.resolution("r_precision") < 0.2


def test_a_difference_of_the_resolution_is_found_that_often():
    """With 80 % chance, in 400 draws of units."""
    rng = np.random.default_rng(0)
    spread = 0.3 / np.sqrt(80)
    found = []
    for _ in range(400):
        sums = rng.normal(0, 0.3, (80, 1))
        units = Units(sums + (1.99 + 0.842) * spread, np.ones((80, 1)))
        z = units.values / units.standard_errors
        found.append(z[0] > 1.99)
    assert 0.75 < np.mean(found) < 0.85
    comparison = compare(model(0.9), model(0.9, seed=1))
    low, high = comparison.interval("r_precision")
    expected = (high - low) / 2 * (2.001 + 0.8416) / 2.001
    assert comparison.resolution("r_precision") == pytest.approx(expected, rel=1e-3)
    surer = compare(model(0.9), model(0.9, seed=1), power=0.95)
    assert surer.resolution("r_precision") > expected


def test_models_that_are_alike_differ_in_five_of_a_hundred():
    rng = np.random.default_rng(1)
    values = [
        paired_p_values(Units(rng.normal(size=(40, 50)), np.ones((40, 50))), seed)
        for seed in range(10)
    ]
    assert 0.03 < np.mean(np.concatenate(values) < 0.05) < 0.07


@pytest.mark.parametrize("count", [12, MOST_UNITS + 1])
def test_p_values_are_those_of_all_signs(count):
    """Against all sign changes of 12 units, and against the normal law of many."""
    rng = np.random.default_rng(2)
    sums = rng.normal(0.4 if count == 12 else 0.005, 1, (count, 1))
    actual = paired_p_values(Units(sums, np.ones_like(sums)), 0)[0]
    if count == 12:
        signs = 1 - 2 * (np.arange(2**12)[:, None] >> np.arange(12) & 1)
        expected = (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12).mean()
    else:
        signs = 1 - 2 * rng.integers(0, 2, (500, count))
        expected = (np.abs(signs @ sums) >= abs(sums.sum())).mean()
    assert actual == pytest.approx(expected, abs=0.05)
    assert 0.01 < expected < 0.9


def test_the_unit_is_that_of_the_first_unless_told_otherwise():
    a, b = model(0.9), model(0.9, seed=1)
    by_class = compare(a, b)
    assert by_class.sampling_unit == "classes"
    by_query = compare(a, b, sampling_unit="queries")
    assert by_query.interval("r_precision") != by_class.interval("r_precision")
    expected = by_class.difference("r_precision")
    assert by_query.difference("r_precision") == pytest.approx(expected)


def test_queries_that_one_could_not_answer_do_not_count():
    keys, labels = CENTERS[:60], LABELS[:60]
    options = {"metrics": METRICS, "key_embeddings": keys, "key_labels": labels}
    a = evaluate(CENTERS + NOISE, LABELS, **options)
    options |= {"key_embeddings": keys[:50], "key_labels": labels[:50]}
    b = evaluate(CENTERS + 0.5 * NOISE, LABELS, **options)
    both = ~np.isnan(b.per_query("r_precision"))
    assert 0 < both.sum() < 240
    difference = (b.per_query("r_precision") - a.per_query("r_precision"))[both].mean()
    assert compare(a, b).difference("r_precision") == pytest.approx(difference)


def test_table_frame_and_text():
    comparison = compare(model(1.2), model(0.7))
    frame = comparison.to_data_frame()
    assert frame["metric"].tolist() == METRICS
    assert list(frame)[-4:] == ["low", "high", "p_value", "resolution"]
    text = str(comparison)
    resolution = comparison.resolution("r_precision")
    assert f"cannot resolve a difference below {resolution:.2g}" in text
    assert "p_value" in comparison._repr_html_()


def test_bad_arguments():
    a = model(0.9)
    with pytest.raises(ValueError, match="a metric in common"):
        compare(a, model(0.9, ["recall@3"]))
    with pytest.raises(ValueError, match="the same queries"):
        compare(a, evaluate(CENTERS, LABELS[::-1], METRICS))
    with pytest.raises(ValueError, match="the same queries"):
        compare(a, evaluate(CENTERS[:50], LABELS[:50], METRICS))
    with pytest.raises(ValueError, match="must average r_precision alike"):
        compare(a, model(0.9, average="macro"))
    with pytest.raises(ValueError, match="`power`"):
        compare(a, a, power=80)
    with pytest.raises(TypeError, match="`b` must be what `evaluate` returned"):
        compare(a, {"r_precision": 1.0})
    with pytest.raises(KeyError, match="was not compared"):
        compare(a, a).interval("recall@3")
    with pytest.raises(ValueError, match="`sampling_unit`"):
        compare(a, a, sampling_unit="persons").interval("r_precision")
