import keras
import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.classification_metrics import Precision
from keras_similarity.evaluators import MemoryEvaluator
from keras_similarity.layers import MetricEmbedding
from keras_similarity.losses import MultiSimilarityLoss, TripletLoss
from keras_similarity.models import SimilarityModel
from keras_similarity.retrieval_metrics import RecallAtK
from keras_similarity.search import LinearSearch
from keras_similarity.types import CalibrationResults, Lookup
from tests.models.conftest import make_model


def identity_model(**compile_options):
    """A model whose embeddings are its inputs, `[N, 2]`."""
    inputs = keras.Input((2,))
    model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
    model.compile(**compile_options)
    return model


def test_it_learns_finds_and_decides(trained, digits):
    x, y = digits
    found = trained.evaluate_retrieval(
        x[1200:], y[1200:], [RecallAtK(k=1), RecallAtK(k=5)], verbose=0
    )
    assert 0.8 < found["recall@1"] <= found["recall@5"] <= 1
    matches = trained.match(x[1200:], cutpoint="precise")
    is_match = np.array(matches) != -1
    assert 0.2 < is_match.mean() < 1
    assert (np.array(matches) == y[1200:])[is_match].mean() > 0.85


def test_embeddings_are_those_of_predict(trained, digits):
    x, _ = digits
    expected = trained.predict(x[:300], verbose=0)
    np.testing.assert_allclose(trained.embed(x[:300]), expected, atol=1e-5)
    np.testing.assert_allclose(
        trained.embed(x[:33], batch_size=7), expected[:33], atol=1e-5
    )
    np.testing.assert_allclose(
        trained.embed(ops.convert_to_tensor(x[:5])), expected[:5], atol=1e-5
    )


def test_embeddings_follow_the_weights(digits):
    x, _ = digits
    model = make_model()
    before = model.embed(x[:3])
    model.layers[-1].set_weights([-w for w in model.layers[-1].get_weights()])
    np.testing.assert_allclose(model.embed(x[:3]), -before, atol=1e-6)


def test_batches_of_a_data_set_are_embedded(trained, digits):
    x, y = digits

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return x[4 * index : 4 * index + 4], y[4 * index : 4 * index + 4]

    np.testing.assert_allclose(trained.embed(Batches()), trained.embed(x[:12]), atol=1e-5)


def test_lookups_are_columns_and_lists(trained, digits):
    x, y = digits
    lookups = trained.lookup(x[:4], k=3, verbose=0)
    assert lookups.labels.shape == lookups.distances.shape == (4, 3)
    first = lookups[0][0]
    assert isinstance(first, Lookup)
    assert (first.rank, first.label) == (1, y[0])
    assert first.distance == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(first.data, x[0])
    np.testing.assert_allclose(first.embedding, trained.embed(x[:1])[0], atol=1e-5)


def test_one_example_comes_with_or_without_a_batch_axis(trained, digits):
    x, _ = digits
    with_axis, without = (
        trained.single_lookup(x[3:4], k=2),
        trained.single_lookup(x[3], k=2),
    )
    assert [n.label for n in with_axis] == [n.label for n in without]
    with pytest.raises(ValueError, match=r"`x` must be one example.*\(2, 8, 8, 1\)"):
        trained.single_lookup(x[:2])


def test_index_single_adds_one_example():
    model = identity_model()
    model.index_single([1.0, 0.0], y=3, data="right", verbose=0)
    model.index_single(np.array([[0.0, 1.0]]), y=4, verbose=0)
    assert model.index_size() == 2
    neighbor = model.single_lookup([2.0, 0.1], k=1)[0]
    assert (neighbor.label, neighbor.data) == (3, "right")
    frame = model.to_data_frame()
    assert frame["labels"].tolist() == [3, 4]
    assert len(model.to_data_frame(num_items=1)) == 1


def test_an_empty_index_gives_empty_rows_and_refuses_to_judge():
    model = identity_model()
    x = np.eye(2)
    assert list(model.lookup(x, verbose=0)) == [[], []]
    assert model.single_lookup(x[0]) == []
    with pytest.raises(IndexError, match="index is empty"):
        model.evaluate_retrieval(x, [0, 1], [RecallAtK()])
    with pytest.raises(IndexError, match="index is empty"):
        model.evaluate_classification(x, [0, 1])
    with pytest.raises(IndexError, match="index is empty"):
        model.match(x)
    with pytest.raises(ValueError, match="empty"):
        model.calibrate(x, [0, 1], verbose=0)


def test_an_uncalibrated_model_refuses_to_match():
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    for decide in (model.match, lambda x: model.evaluate_classification(x, [0, 1])):
        with pytest.raises(ValueError, match=r"not calibrated. Call `calibrate\(\)`"):
            decide(np.eye(2))


def test_a_model_without_an_index_says_how_to_get_one():
    inputs = keras.Input((2,))
    model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
    assert model.index_size() == 0
    with pytest.raises(ValueError, match=r"call `compile\(\)` or `create_index\(\)`"):
        model.index(np.eye(2), [0, 1])
    model.create_index("l1")
    model.index(np.eye(2), [0, 1], verbose=0)
    assert model.single_lookup([0.0, 3.0], k=2)[1].distance == pytest.approx(4)


def test_matching_at_every_cutpoint(trained, digits):
    x, _ = digits
    every = trained.match(x[:5], cutpoint="all")
    assert set(every) == {"optimal", "precise"}
    assert trained.match(x[:5], cutpoint="precise") == every["precise"]
    with pytest.raises(ValueError, match="`cutpoint` must be one of 'all', 'optimal'"):
        trained.match(x[:5], cutpoint="strict")


def test_an_example_on_the_cutpoint_matches():
    model = identity_model(distance="l2")
    model.index(np.zeros((1, 2)), [7], verbose=0)
    # 0.1 * sqrt(2) has more digits than a calibration keeps.
    x = np.array([[0.1, 0.1], [3.0, 0.0]])
    results = model.calibrate(x, [7, 8], verbose=0)
    assert isinstance(results, CalibrationResults)
    assert results.cutpoints["optimal"]["distance"] == pytest.approx(0.1414, abs=1e-3)
    assert model.match(x, no_match_label=-5) == [7, -5]


def test_a_metric_of_ones_own_calibrates_and_evaluates(digits):
    x, y = digits
    model = make_model()
    model.compile()
    model.index(x[:100], y[:100], verbose=0)
    model.calibrate(
        x[100:200],
        y[100:200],
        calibration_metric=Precision(name="mine"),
        extra_metrics=["recall"],
        verbose=0,
    )
    found = model.evaluate_classification(x[200:300], y[200:300], verbose=0)
    assert set(found["optimal"]) == {"mine", "precision", "recall", "distance", "name"}
    assert found["optimal"]["mine"] == found["optimal"]["precision"]
    assert np.shape(found["optimal"]["mine"]) == (1,)


def test_auto_takes_the_distance_of_the_loss():
    assert identity_model().distance.name == "cosine"
    assert identity_model(loss=TripletLoss("l1")).distance.name == "manhattan"
    assert identity_model(loss=[MultiSimilarityLoss("sql2")]).distance.name == (
        "squared_euclidean"
    )
    assert identity_model(loss=TripletLoss(), distance="l2").distance.name == "euclidean"
    for loss in ("mse", keras.losses.MeanSquaredError(), {"a": TripletLoss()}):
        with pytest.raises(ValueError, match="distance='auto' only works if the first"):
            identity_model(loss=loss)


def test_compiling_again_keeps_the_index_unless_it_changes():
    model = identity_model(loss=TripletLoss())
    model.index(np.eye(2), [0, 1], verbose=0)
    model.compile("sgd", loss=MultiSimilarityLoss())
    assert model.index_size() == 2
    model.compile("sgd", loss=MultiSimilarityLoss("l2"))
    assert model.index_size() == 0


def test_compiling_again_with_the_same_engine_keeps_the_index(tmp_path):
    engine = LinearSearch("cosine", 2)
    model = identity_model(loss=TripletLoss(), search=engine)
    model.index(np.eye(2), [0, 1], verbose=0)
    model.compile("sgd", loss=TripletLoss(), search=engine)
    assert model.index_size() == 2 and model.indexer.search is engine
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile("sgd", loss=TripletLoss(), search=engine)
    assert loaded.single_lookup(np.eye(2)[1], k=1)[0].label == 1


def test_an_unknown_part_changes_nothing():
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    for options in (
        {"search": "annoy"},
        {"kv_store": "disk"},
        {"evaluator": "none"},
        {"distance": "cosin"},
        {"embedding_output": 1},
    ):
        with pytest.raises(ValueError):
            model.create_index(**options)
        with pytest.raises(ValueError):
            model.compile(**options)
    assert model.index_size() == 2


def test_a_compile_that_fails_leaves_loss_and_index_as_they_were():
    model = identity_model(loss=TripletLoss())
    model.index(np.eye(2), [0, 1], verbose=0)
    loss = model.loss
    # FAISS makes codes of 8 numbers by default, which embeddings of 2 do not fill.
    with pytest.raises(ValueError, match="`dim` must be a multiple"):
        model.compile("sgd", loss=TripletLoss("l2"), search="faiss")
    with pytest.raises(ValueError, match="`dim` must be a multiple"):
        model.create_index("l2", search="faiss")
    assert model.loss is loss
    assert (model.index_size(), model.distance.name) == (2, "cosine")
    assert model.get_compile_config()["similarity"]["search"] == "linear"


def test_a_model_compiled_past_us_has_a_compile_config():
    inputs = keras.Input((2,))
    model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
    keras.Model.compile(model, "sgd", loss="mse")
    assert "similarity" not in model.get_compile_config()


def test_examples_can_be_made_searchable_later():
    model = identity_model()
    model.index(np.eye(2), [0, 1], build=False, verbose=0)
    with pytest.raises(ValueError, match=r"Call `build_index\(\)` first"):
        model.calibrate(np.eye(2), [0, 1], verbose=0)
    with pytest.raises(IndexError, match=r"call `build_index\(\)`"):
        model.evaluate_retrieval(np.eye(2), [0, 1], [RecallAtK(k=1)])
    model.build_index(verbose=0)
    assert model.lookup(np.eye(2), k=1, verbose=0).labels.tolist() == [[0], [1]]


def test_inputs_of_a_wrong_shape_are_told_as_they_came():
    inputs = keras.Input((2,))
    model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
    model.compile()
    with pytest.raises(ValueError, match=r"shape[ =]\(5, 3\)"):
        model.lookup(np.zeros((5, 3)), verbose=0)


def test_bad_inputs_leave_the_index_as_it_was():
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    with pytest.raises(ValueError, match="`y` must hold one entry a row of `x`, 2"):
        model.index(np.eye(2), [0, 1, 2], verbose=0)
    with pytest.raises(ValueError, match="finite"):
        model.index(np.array([[np.nan, 0.0]]), [0], verbose=0)
    assert model.index_size() == 2
    model.reset_index()
    assert model.index_size() == 0


def test_the_summary_is_printed(trained, capsys):
    trained.index_summary()
    printed = capsys.readouterr().out
    assert "300" in printed
    assert "cosine" in printed
    assert "precise" in printed


def outputs_model(as_dict):
    inputs = keras.Input((4,))
    heads = {"wide": keras.layers.Dense(6)(inputs), "narrow": MetricEmbedding(3)(inputs)}
    return SimilarityModel(inputs, heads if as_dict else list(heads.values()))


@pytest.mark.parametrize(("as_dict", "output"), [(False, 1), (True, "narrow")])
def test_one_of_several_outputs_is_the_embedding(as_dict, output):
    model = outputs_model(as_dict)
    model.compile(embedding_output=output)
    x = np.random.default_rng(0).normal(size=(5, 4))
    model.index(x, range(5), verbose=0)
    assert model.embed(x).shape == (5, 3)
    assert [row[0].label for row in model.lookup(x, k=1, verbose=0)] == [*range(5)]
    with pytest.raises(ValueError, match="`embedding_output` must be one of"):
        model.create_index(embedding_output=2)


@pytest.mark.parametrize(("as_dict", "size"), [(False, 6), (True, 3)])
def test_the_first_of_several_outputs_is_the_default(as_dict, size):
    """Of a dict, in alphabetical order."""
    model = outputs_model(as_dict)
    model.compile()
    assert model.embed(np.ones((2, 4))).shape == (2, size)


def test_output_0_of_one_output_is_that_output():
    model = identity_model(embedding_output=0)
    model.index(np.eye(2), [0, 1], verbose=0)
    assert model.single_lookup([1.0, 0.2], k=1)[0].label == 0


class OwnModel(SimilarityModel):
    """A user's subclass with a `call()`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.head = MetricEmbedding(units)

    def call(self, inputs):
        return self.head(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class OwnFunctional(SimilarityModel):
    """A user's subclass without: built from inputs and outputs."""


@pytest.mark.parametrize("order", ["functional first", "subclass first"])
def test_both_ways_of_building_work_in_one_process(order):
    def functional():
        inputs = keras.Input((3,))
        return OwnFunctional(inputs, MetricEmbedding(2)(inputs))

    makers = [functional, lambda: OwnModel(2)]
    models = [
        make() for make in (makers if order == "functional first" else makers[::-1])
    ]
    models += [make() for make in makers]
    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2
    for model in models:
        assert isinstance(model, SimilarityModel)
        model.compile("sgd", loss=TripletLoss())
        model.fit(x, y, verbose=0)
        model.index(x, y, verbose=0)
        assert model.single_lookup(x[2], k=1)[0].label == y[2]
    assert "Functional" not in [base.__name__ for base in SimilarityModel.__mro__]


def test_models_of_several_inputs_are_indexed():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = SimilarityModel({"a": a, "b": b}, keras.layers.Concatenate()([a, b]))
    model.compile()
    x = {"a": np.eye(2), "b": np.ones((2, 3))}
    model.index(x, [0, 1], verbose=0)
    single = {name: array[1] for name, array in x.items()}
    assert model.single_lookup(single, k=1)[0].label == 1


def test_a_list_of_inputs_is_one_example_or_many():
    a, b = keras.Input((2,)), keras.Input((3,))
    model = SimilarityModel([a, b], keras.layers.Concatenate()([a, b]))
    model.compile()
    x = [np.eye(2), np.ones((2, 3))]
    model.index(x, [0, 1], verbose=0)
    assert model.single_lookup([x[0][1], x[1][1]], k=1)[0].label == 1
    assert model.single_lookup([x[0][1:], x[1][1:]], k=1)[0].label == 1


def test_rows_may_come_as_lists():
    model = identity_model()
    model.index([[1.0, 0.0], [0.0, 1.0]], [0, 1], verbose=0)
    rows = list(np.array([[0.1, 1.0], [1.0, 0.1]]))
    assert model.lookup(rows, k=1, verbose=0).labels.tolist() == [[1], [0]]


def test_no_rows_give_no_answers():
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    assert model.embed(np.zeros((0, 2))).shape == (0, 2)
    assert list(model.lookup(np.zeros((0, 2)), verbose=0)) == []
    model.index(np.zeros((0, 2)), [], verbose=0)
    assert model.index_size() == 2


def test_a_subclass_that_is_not_built_yet_indexes_and_looks_up():
    for use in ("index", "lookup", "index_single"):
        model = OwnModel(2)
        model.compile()
        x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
        if use == "lookup":
            assert list(model.lookup(x, verbose=0)) == [[]] * 4
        if use == "index_single":
            model.index_single(x[2], 2, verbose=0)
        model.index(x, range(4), verbose=0)
        assert model.single_lookup(x[2], k=1)[0].label == 2


def test_pictures_of_bytes_are_embedded():
    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = SimilarityModel(inputs, outputs)
    model.compile(distance="l2")
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), "uint8")
    expected = x.reshape(5, -1) / 255
    np.testing.assert_allclose(model.embed(x), expected, atol=1e-6)


def test_every_cutpoint_is_evaluated_at_its_own_distance(trained, digits):
    x, y = digits
    found = trained.evaluate_classification(x[1200:], y[1200:], verbose=0)
    for name, cutpoint in trained.indexer.cutpoints.items():
        expected = trained.indexer.evaluate_classification(
            trained.embed(x[1200:]), y[1200:], [cutpoint["distance"]], ["recall"]
        )
        assert found[name]["recall"] == expected["recall"]
        assert (found[name]["name"], found[name]["distance"]) == (
            name,
            cutpoint["distance"],
        )
    assert found["optimal"]["recall"] != found["precise"]["recall"]


def test_wrong_labels_are_found_before_anything_is_embedded(monkeypatch):
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.calibrate(np.eye(2), [0, 1], verbose=0)
    monkeypatch.setattr(type(model), "embed", None)
    for call in (
        lambda: model.index(np.eye(2), [0, 1, 2]),
        lambda: model.calibrate(np.eye(2), [0, 1, 2]),
        lambda: model.calibrate(np.eye(2), [0, 1], matcher="nearest"),
        lambda: model.calibrate(np.eye(2), [0, 1], calibration_metric="f2"),
        lambda: model.evaluate_retrieval(np.eye(2), [0], [RecallAtK(k=1)]),
        lambda: model.lookup(np.eye(2), k=0),
        lambda: model.calibrate(np.eye(2), [0, 1], k=0),
        lambda: model.match(np.eye(2), k=0),
        lambda: model.evaluate_classification(np.eye(2), [0, 1], k=0),
    ):
        with pytest.raises(ValueError, match=r"`y`|nearest|f2|`k` must be at least 1"):
            call()


def test_recompiling_changes_the_evaluator_and_keeps_the_rows():
    class Own(MemoryEvaluator):
        pass

    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.compile(search="LINEAR", evaluator=Own())
    assert model.index_size() == 2
    assert type(model.indexer.evaluator) is Own
    model.compile()
    assert type(model.indexer.evaluator) is MemoryEvaluator


def test_preprocessing_must_be_one():
    with pytest.raises(TypeError, match="`preprocessing` must be a `Preprocessing`"):
        identity_model().preprocessing = "nonsense"
