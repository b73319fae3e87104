import keras
import numpy as np
import pytest

from keras_similarity.callbacks import EvalCallback, SplitValidationLoss
from keras_similarity.losses import TripletLoss
from keras_similarity.models import SimilarityModel
from keras_similarity.retrieval_metrics import RecallAtK


def identity_model(units=2):
    inputs = keras.Input((units,))
    model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
    model.compile("sgd", loss=TripletLoss())
    return model


TARGETS = np.eye(4, dtype="float32")
TARGET_LABELS = np.arange(4)
# Nearest targets: 0, 1, 1, 3.
QUERIES = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 1]], "float32")
QUERY_LABELS = np.array([0, 1, 2, 3])


def evaluate(**options):
    logs = {}
    model = options.pop("model", None) or identity_model(4)
    callback = EvalCallback(QUERIES, QUERY_LABELS, TARGETS, TARGET_LABELS, **options)
    callback.set_model(model)
    callback.on_epoch_end(0, logs)
    return logs


def test_values_are_logged_under_both_names():
    logs = evaluate(retrieval_metrics=[RecallAtK(k=1), RecallAtK(k=2)])
    assert logs["binary_accuracy"] == logs["val_binary_accuracy"] == 0.75
    assert logs["recall@1"] == logs["val_recall@1"] == 0.75
    assert logs["recall@2"] == 1.0
    assert all(type(value) is float for value in logs.values())


def test_known_and_unknown_classes_are_judged_apart():
    logs = evaluate(known_classes=[0, 1], metrics=["precision"])
    assert logs["precision_known_classes"] == 1.0
    assert logs["val_precision_unknown_classes"] == 0.5
    assert "precision" not in logs


def test_a_group_without_queries_is_left_out():
    logs = evaluate(known_classes=[0, 1, 2, 3])
    assert set(logs) == {
        "binary_accuracy_known_classes",
        "val_binary_accuracy_known_classes",
    }


def test_several_thresholds_are_logged():
    logs = evaluate(distance_thresholds=[0.05, 0.5], metrics=["recall"])
    # The third query's nearest target is wrong, so that it cannot be found.
    assert logs["recall"] == 1.0
    assert logs["recall@0.5"] == 1.0
    logs = evaluate(distance_thresholds=[-1.0, 0.5], metrics=["binary_accuracy"])
    assert (logs["binary_accuracy"], logs["binary_accuracy@0.5"]) == (0.0, 0.75)


def test_the_distance_can_be_another_than_the_models():
    queries = np.array([[1.0, 0.9, 0, 0]], "float32")
    targets = np.array([[5, 5, 0, 0], [1, 0, 0, 0]], "float32")
    for distance, expected in (("auto", 1.0), ("l2", 0.0)):
        logs = {}
        callback = EvalCallback(queries, [0], targets, [0, 1], distance=distance)
        callback.set_model(identity_model(4))
        callback.on_epoch_end(0, logs)
        assert logs["binary_accuracy"] == expected


def test_the_users_index_is_left_alone():
    model = identity_model(4)
    model.index(TARGETS[:2], [7, 8], verbose=0)
    evaluate(model=model)
    assert model.index_size() == 2
    assert model.single_lookup(TARGETS[1], k=1)[0].label == 8


def test_early_stopping_and_checkpoints_can_watch_the_values(tmp_path):
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    y = np.arange(16) % 4
    model = identity_model(4)
    history = model.fit(
        x,
        y,
        epochs=5,
        verbose=0,
        callbacks=[
            EvalCallback(QUERIES, QUERY_LABELS, TARGETS, TARGET_LABELS),
            keras.callbacks.EarlyStopping("val_binary_accuracy", mode="max", patience=1),
            keras.callbacks.ModelCheckpoint(
                str(tmp_path / "best.keras"),
                "val_binary_accuracy",
                mode="max",
                save_best_only=True,
            ),
        ],
    )
    # The embeddings are the inputs: nothing improves after the first epoch.
    assert history.history["val_binary_accuracy"] == [0.75, 0.75]
    assert (tmp_path / "best.keras").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"query_labels": [0, 1]},
            ValueError,
            "`query_labels` must hold one label a row",
        ),
        ({"queries": [], "query_labels": []}, ValueError, "`queries` must hold at least"),
        ({"targets": TARGETS[:0], "target_labels": []}, ValueError, "`targets` must"),
        ({"metrics": ["f3"]}, ValueError, "f3"),
        ({"matcher": "nearest"}, ValueError, "nearest"),
        ({"distance": "cosin"}, ValueError, "cosin"),
        ({"k": 0}, ValueError, "`k` must be at least 1"),
        ({"k": "1"}, TypeError, "`k` must be an integer"),
        ({"retrieval_metrics": ["recall"]}, Exception, "recall"),
    ],
)
def test_bad_arguments_are_told_before_training(arguments, error, message):
    given = {
        "queries": QUERIES,
        "query_labels": QUERY_LABELS,
        "targets": TARGETS,
        "target_labels": TARGET_LABELS,
    }
    with pytest.raises(error, match=message):
        EvalCallback(**{**given, **arguments})


@pytest.mark.parametrize("as_rows", [list, np.ndarray.tolist])
def test_rows_may_come_as_lists(as_rows):
    callback = EvalCallback(
        as_rows(QUERIES), QUERY_LABELS.tolist(), as_rows(TARGETS), TARGET_LABELS
    )
    callback.set_model(identity_model(4))
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs["binary_accuracy"] == 0.75


def test_values_go_to_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    evaluate(tb_logdir=str(tmp_path))
    assert list((tmp_path / "index").glob("events.out.tfevents*"))


def test_models_of_several_inputs_are_judged():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    model = SimilarityModel(inputs, keras.layers.Add()(list(inputs.values())))
    model.compile()
    queries, targets = {"a": QUERIES, "b": QUERIES}, {"a": TARGETS, "b": TARGETS}
    callback = EvalCallback(queries, QUERY_LABELS, targets, TARGET_LABELS)
    callback.set_model(model)
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs["binary_accuracy"] == 0.75


def test_split_validation_loss_is_the_callback_with_known_classes(caplog):
    with caplog.at_level("INFO"):
        callback = SplitValidationLoss(
            QUERIES, QUERY_LABELS, TARGETS, TARGET_LABELS, known_classes=[0, 1]
        )
        callback.set_model(identity_model(4))
        logs = {}
        callback.on_epoch_end(0, logs)
    metrics = ["binary_accuracy", "f1score"]
    assert logs == evaluate(known_classes=[0, 1], metrics=metrics)
    # Of the unknown classes 2 and 3 the query of 2 finds another.
    assert logs["binary_accuracy_known_classes"] == 1.0
    assert logs["val_binary_accuracy_unknown_classes"] == 0.5
    assert logs["f1score_unknown_classes"] == pytest.approx(2 / 3)
    # The time it takes is told.
    assert f"Evaluation: {callback.seconds:.2f} s" in caplog.text
    assert 0 < callback.seconds < 60
