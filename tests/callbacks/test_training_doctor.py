"""Each trouble is provoked for real, on digits; healthy runs stay silent."""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import framework, ops
from keras_similarity.callbacks import Thresholds, TrainingDoctor
from keras_similarity.callbacks.diagnosis import RULES
from keras_similarity.callbacks.training_doctor import LOGGED
from keras_similarity.datasets import load_digits
from keras_similarity.layers import MetricEmbedding
from keras_similarity.models import SimilarityModel
from keras_similarity.samplers import MultiShotMemorySampler

DIGITS = load_digits()
X = np.concatenate([DIGITS.x_train, DIGITS.x_test]).astype("float32")
Y = np.concatenate([DIGITS.y_train, DIGITS.y_test])
ORDER = np.random.default_rng(0).permutation(len(Y))
X, Y = X[ORDER], Y[ORDER]


def network(layer=None, hidden=32):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    for _ in range(2):
        x = keras.layers.Dense(hidden, activation="relu")(x)
    return inputs, (layer or keras.layers.Dense(8))(x)


def batches(classes=8, examples=4, steps=60, seed=0):
    return MultiShotMemorySampler(
        X,
        Y,
        classes_per_batch=classes,
        examples_per_class_per_batch=examples,
        steps_per_epoch=steps,
        seed=seed,
    )


def train(loss, rate=1e-3, data=None, seed=0, layer=None, optimizer="adam", every=5):
    """A real training, and the doctor that watched it."""
    keras.utils.set_random_seed(seed)
    model = SimilarityModel(*network(layer))
    optimizer = keras.optimizers.get(optimizer)
    optimizer.learning_rate = rate
    model.compile(optimizer, loss=loss)
    doctor = TrainingDoctor(every=every)
    history = model.fit(data or batches(seed=seed), verbose=0, callbacks=[doctor])
    doctor.history = history.history
    return doctor


def names(doctor):
    return [diagnosis.name for diagnosis in doctor.diagnoses]


def hardest():
    return losses.TripletLoss("sql2", negative_mining_strategy="hard", margin=1.0)


HEALTHY = {
    "multi-similarity": losses.MultiSimilarityLoss,
    "triplet": lambda: losses.TripletLoss(margin=0.2),
    "all triplets": losses.TripletMarginLoss,
    "contrastive": lambda: losses.ContrastiveLoss(distance="l2"),
    "proxies": lambda: losses.ProxyNCALoss(10, 8),
    "memory": lambda: losses.XBM(losses.MultiSimilarityLoss(), memory_size=64),
}


@pytest.mark.parametrize("seed, name", list(enumerate(HEALTHY)))
def test_healthy_runs_stay_silent(name, seed, caplog):
    layer = MetricEmbedding(8) if name == "all triplets" else None
    doctor = train(HEALTHY[name](), 3e-3, seed=seed, layer=layer)
    assert names(doctor) == []
    # TensorFlow logs, too, when a process has made many models.
    assert [r for r in caplog.records if r.name.startswith("keras_similarity")] == []
    # They learn: positives come nearer than any two.
    ratios = [look["alignment"] / look["mean_distance"] for look in doctor.looks]
    assert np.mean(ratios[-3:]) < 0.9 * ratios[0]


def test_a_run_that_collapses(caplog):
    doctor = train(hardest(), 0.1, batches(steps=100))
    found = doctor.diagnoses[0]
    assert found.name == "collapse"
    assert found.since <= 60 and found.step == found.since + 15
    assert found.sentence == (
        f"all embeddings are one point since step {found.since}: hardest-negative mining "
        "with this learning rate (0.1); use semi-hard mining, or warm up the learning "
        "rate."
    )
    assert found.figures["mean_distance"] < 0.001
    assert caplog.text.count("all embeddings are one point") == 1
    assert doctor.history["doctor_diagnoses"] == [float(len(doctor.diagnoses))]


def test_hardest_negatives_with_a_warm_up_are_fine():
    rates = keras.optimizers.schedules.CosineDecay(
        0.0, 200, warmup_target=2e-3, warmup_steps=100
    )
    assert names(train(hardest(), rates, batches(steps=80))) == []


def test_a_sampler_without_positives():
    doctor = train(losses.MultiSimilarityLoss(), data=batches(10, 1, steps=20))
    assert names(doctor) == ["no_positives"]
    found = doctor.diagnoses[0]
    assert (found.since, found.step) == (0, 5)
    assert "MultiShotMemorySampler" in found.sentence and "0%" in found.sentence
    assert doctor.history["doctor_positives_per_row"] == [0.0]


def test_losses_that_need_no_positives_in_the_batch_are_left_alone():
    for loss in (
        losses.NormalizedSoftmaxLoss(10, 64),
        losses.XBM(losses.TripletLoss(), embedding_size=64, memory_size=64),
    ):
        doctor = TrainingDoctor()
        for _ in range(3):
            doctor.observe(X[:10].reshape(10, -1), np.arange(10), loss=loss)
        assert "no_positives" not in names(doctor)


def test_a_sampler_of_one_class():
    doctor = train(losses.MultiSimilarityLoss(), data=batches(1, 16, steps=20))
    assert names(doctor)[0] == "no_negatives"
    assert "classes_per_batch" in doctor.diagnoses[0].sentence


def test_a_loss_without_active_triplets():
    doctor = train(losses.TripletLoss("cosine", "easy", "easy", margin=0.01))
    assert names(doctor) == ["nothing_active"]
    assert doctor.diagnoses[0].sentence.startswith(
        "TripletLoss has had no active pair or triplet since step 0"
    )
    assert doctor.history["doctor_active_share"][0] < 0.01


def test_exploding_norms():
    loss = losses.ContrastiveLoss(neg_margin=1e6, distance="l2")
    doctor = train(loss, 0.05)
    assert names(doctor)[0] == "norms_explode"
    assert doctor.diagnoses[0].figures["norm_drift"] > 100
    assert "at this learning rate (0.05)" in doctor.diagnoses[0].sentence


def test_vanishing_norms():
    # A penalty on lengths that nothing stands against.
    loss = losses.MultiSimilarityLoss(
        embedding_regularizer="LpRegularizer", embedding_reg_weight=1000.0
    )
    doctor = train(loss, 1e-2)
    assert names(doctor)[0] == "norms_vanish"
    assert doctor.diagnoses[0].figures["norm_drift"] < 0.01


def test_a_run_to_infinity():
    loss = losses.TripletLoss("sql2", "easy", "easy", margin=None)
    doctor = train(loss, 1e9, batches(steps=20), optimizer="sgd")
    assert "not_finite" in names(doctor)
    assert {"gradients_explode", "gradients_vanish"} & set(names(doctor)) == set()


class Line(keras.layers.Layer):
    """A bottleneck of one number."""

    def build(self, shape):
        self.inner = keras.layers.Dense(1)
        self.outer = keras.layers.Dense(8, use_bias=False)
        self.inner.build(shape)
        self.outer.build((None, 1))

    def call(self, x):
        return self.outer(self.inner(x))


def test_embeddings_on_a_line():
    loss = losses.ContrastiveLoss(distance="l2")
    assert names(train(loss, layer=Line())) == ["few_directions"]


def test_a_doctor_changes_nothing_in_the_training():
    weights = []
    for with_doctor in (False, True):
        keras.utils.set_random_seed(3)
        model = SimilarityModel(*network())
        loss = losses.XBM(losses.MultiSimilarityLoss(), memory_size=64)
        model.compile("adam", loss=loss, metrics=[])
        callbacks = [TrainingDoctor(every=3)] if with_doctor else []
        model.fit(X[:320], Y[:320], epochs=2, verbose=0, callbacks=callbacks)
        weights.append([*model.get_weights(), *[v.numpy() for v in loss.variables]])
    for without, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(without, watched)


def test_numbers_of_an_epoch_are_means_and_every_epoch_has_a_look():
    model = SimilarityModel(*network())
    model.compile("adam", loss=losses.TripletLoss())
    doctor = TrainingDoctor(every=4)
    history = model.fit(
        X[:192], Y[:192], batch_size=64, epochs=3, verbose=0, callbacks=[doctor]
    ).history
    # Steps 0 to 8: looks at 0, 4 and 8.
    assert [look["step"] for look in doctor.looks] == [0, 4, 8]
    expected = [look["effective_rank"] for look in doctor.looks]
    assert history["doctor_effective_rank"] == pytest.approx(expected)
    numbers = {name for name in history if name.startswith("doctor_")}
    assert numbers == {
        "doctor_active_share",
        "doctor_alignment",
        "doctor_diagnoses",
        "doctor_effective_rank",
        "doctor_gradient_norm",
        "doctor_norm_drift",
        "doctor_positives_per_row",
        "doctor_uniformity",
    }
    assert all(type(value) is float for name in numbers for value in history[name])
    model.fit(X[:64], Y[:64], batch_size=64, epochs=2, verbose=0, callbacks=[doctor])
    # 9 and 10: the first is too early for a look but the only step of its epoch.
    assert [look["step"] for look in doctor.looks] == [0, 4, 8, 10, 11]


def test_a_plain_model_needs_examples_and_may_have_several_outputs():
    inputs, outputs = network()
    model = keras.Model(inputs, {"z": outputs, "a": keras.layers.Dense(3)(outputs)})
    loss = {"z": losses.TripletLoss(), "a": "mse"}
    model.compile("adam", loss=loss)
    target = {"z": Y[:64], "a": np.zeros((64, 3))}
    with pytest.raises(ValueError, match=r"Write TrainingDoctor\(x, y\)"):
        model.fit(X[:64], target, verbose=0, callbacks=[TrainingDoctor()])
    doctor = TrainingDoctor(X[:64], Y[:64], every=2, embedding_output="z")
    model.fit(X[:64], target, verbose=0, epochs=3, batch_size=16, callbacks=[doctor])
    assert len(doctor.looks) == 6
    assert doctor.looks[0]["dimensions"] == 8.0
    assert doctor.looks[0]["gradient_norm"] > 0
    # It sees the weights of its step, not those of the start.
    assert doctor.looks[0]["norm"] != doctor.looks[-1]["norm"]


class FewBatches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def forms_of_data():
    yield "dataset", FewBatches()
    if framework() == "tensorflow":
        import tensorflow as tf

        yield "tf.data", tf.data.Dataset.from_tensor_slices((X[:32], Y[:32])).batch(8)
    if framework() == "torch":
        import torch

        rows = torch.utils.data.TensorDataset(torch.tensor(X[:32]), torch.tensor(Y[:32]))
        yield "loader", torch.utils.data.DataLoader(rows, batch_size=8)


@pytest.mark.parametrize("form, data", forms_of_data())
def test_it_sees_what_fit_is_given(form, data):
    model = SimilarityModel(*network())
    model.compile("adam", loss=losses.TripletLoss())
    doctor = TrainingDoctor(every=1)
    model.fit(data, verbose=0, shuffle=False, callbacks=[doctor])
    own = [np.unique(Y[start : start + 8]).size for start in range(0, 32, 8)]
    expected = own if form == "dataset" else [*own[:3], own[0]]
    assert [look["num_classes"] for look in doctor.looks] == expected


def test_a_generator_is_refused():
    def generate():
        while True:
            yield X[:8], Y[:8]

    model = SimilarityModel(*network())
    model.compile("adam", loss=losses.TripletLoss())
    with pytest.raises(ValueError, match="can be iterated over again"):
        model.fit(generate(), steps_per_epoch=1, callbacks=[TrainingDoctor()], verbose=0)
    doctor = TrainingDoctor(X[:32], Y[:32])
    model.fit(generate(), steps_per_epoch=1, callbacks=[doctor], verbose=0)
    assert len(doctor.looks) == 1


def test_another_model_is_another_patient():
    doctor = TrainingDoctor(X[:32], Y[:32])
    for _ in range(2):
        model = SimilarityModel(*network())
        model.compile("adam", loss=losses.TripletLoss())
        model.fit(X[:32], Y[:32], verbose=0, callbacks=[doctor])
        assert [look["step"] for look in doctor.looks] == [0]


# In a loop of one's own.


def test_a_loop_of_ones_own_is_watched():
    doctor = TrainingDoctor()
    loss = losses.TripletLoss("cosine", "easy", "easy", margin=0.0)
    named = []
    for _ in range(4):
        embeddings = ops.convert_to_tensor(X[:64].reshape(64, -1))
        if framework() == "torch":
            embeddings.requires_grad_()
        named += doctor.observe(embeddings, ops.convert_to_tensor(Y[:64]), loss=loss)
    assert [each.name for each in named] == names(doctor) == ["nothing_active"]
    assert named[0].step == 2 and str(named[0]) == named[0].sentence


def test_a_loss_that_is_done_is_no_trouble():
    doctor = TrainingDoctor()
    random = np.random.default_rng(0)
    labels = np.arange(32) % 8
    loss = losses.TripletMarginLoss()
    for spread in (2.0, 1.0, 0.01, 0.01, 0.01, 0.01):
        rows = np.eye(8)[labels] + spread * random.normal(size=(32, 8))
        doctor.observe(rows, labels, loss=loss)
    assert doctor.looks[0]["active_share"] > 0.1 and doctor.looks[-1]["active_share"] == 0
    assert doctor.diagnoses == []
    # Where neighbours are of the wrong class, it is one.
    loss = losses.TripletMarginLoss(margin=-10.0)
    for _ in range(3):
        rows = np.eye(8)[labels] + 0.01 * random.normal(size=(32, 8))
        doctor.observe(rows, random.permutation(labels), loss=loss)
    assert names(doctor) == ["nothing_active"]


def test_labels_that_mean_nothing():
    doctor = TrainingDoctor()
    random = np.random.default_rng(0)
    for _ in range(40):
        doctor.observe(random.normal(size=(64, 16)), random.integers(0, 8, 64))
    assert names(doctor) == ["nothing_learned"]
    assert "check that labels belong to their examples" in doctor.diagnoses[0].sentence


def steep(labels, embeddings):
    return ops.mean(ops.exp(ops.sum(ops.square(embeddings), axis=1)))


def flat(labels, embeddings):
    return 2.0 - ops.mean(ops.sigmoid(-ops.sum(ops.square(embeddings), axis=1)))


@pytest.mark.parametrize(
    ("loss", "scale", "name"),
    [(steep, 3.0, "gradients_explode"), (flat, 5.0, "gradients_vanish")],
)
def test_gradients_run_away(loss, scale, name):
    doctor = TrainingDoctor()
    rows = X[:32].reshape(32, -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for factor in (1.0, 1.1, 1.2, scale, scale, scale):
        doctor.observe(factor * rows, Y[:32], loss=loss)
    assert names(doctor) == [name]


def test_without_labels_geometry_is_watched():
    doctor = TrainingDoctor()
    for _ in range(4):
        doctor.observe(np.ones((600, 4)) + 1e-5 * np.random.rand(600, 4))
    assert names(doctor) == ["collapse"]
    assert "positives_per_row" not in doctor.looks[0]


def test_thresholds_are_the_users():
    doctor = TrainingDoctor(thresholds=Thresholds(one_point=4.1))
    for _ in range(4):
        doctor.observe(X[:32].reshape(32, -1), Y[:32])
    assert names(doctor) == ["collapse"]
    doctor.reset()
    assert doctor.diagnoses == doctor.looks == []


def test_the_page_names_every_trouble_and_figure_and_its_example_runs():
    page = (Path(__file__).parents[2] / "docs" / "training-doctor.md").read_text("utf-8")
    rows = {
        line.split("|")[1].strip(" `"): line for line in page.splitlines() if "|" in line
    }
    for rule in RULES:
        assert f"| {rule.looks} |" in rows[rule.name]
    assert {name for name in LOGGED if name not in rows} == set()
    scope = {"print": lambda diagnosis: None}
    exec(page.split("```python")[1].split("```")[0], scope)
    sentence = page.split("print(doctor.diagnoses[0])")[1].split("```")[0]
    assert " ".join(sentence.replace("#", "").split()) == str(
        scope["doctor"].diagnoses[0]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(4), np.ones(4, int)), "`embeddings` must have the shape"),
        ((np.ones((1, 4)), [0]), "`embeddings` must have the shape"),
        ((np.ones((3, 4)), [0, 1]), "`labels` must be integers, one a row"),
        ((np.ones((2, 4)), [0.5, 1]), "`labels` must be integers, one a row"),
    ],
)
def test_bad_arguments_are_told(arguments, message):
    doctor = TrainingDoctor()
    with pytest.raises(ValueError, match=message):
        doctor.observe(*arguments)
    assert doctor.looks == []
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        TrainingDoctor(every=0)
