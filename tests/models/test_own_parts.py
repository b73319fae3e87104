"""A user's own search, store and evaluator go through compile, save and load."""

import keras
import numpy as np
import pytest

from keras_similarity import evaluators, search, stores
from keras_similarity.evaluators import MemoryEvaluator
from keras_similarity.indexer import Indexer
from keras_similarity.layers import MetricEmbedding
from keras_similarity.models import SimilarityModel
from keras_similarity.search import LinearSearch
from keras_similarity.stores import MemoryStore

X = np.random.default_rng(0).normal(size=(9, 3)).astype("float32")
Y = np.arange(9) % 3


def classes():
    """A search, a store and an evaluator that nobody knows."""

    class DeepSearch(LinearSearch):
        """Finds the same, with a setting of its own."""

        def __init__(self, *args, depth=1, **kwargs):
            super().__init__(*args, **kwargs)
            self.depth = depth

        def get_config(self):
            return {**super().get_config(), "depth": self.depth}

    class Shelf(MemoryStore):
        def __init__(self, name=None, verbose=0, boards=1):
            super().__init__(name, verbose)
            self.boards = boards

        def get_config(self):
            return {**super().get_config(), "boards": self.boards}

    class Strict(MemoryEvaluator):
        pass

    return DeepSearch, Shelf, Strict


def by_registry(DeepSearch, Shelf, Strict):
    search.register("deep_search")(DeepSearch)
    stores.register("shelf")(Shelf)
    evaluators.register("strict")(Strict)
    return {}


def by_keras(*own):
    for cls in own:
        keras.saving.register_keras_serializable("own_parts")(cls)
    return {}


def by_argument(*own):
    return {"custom_objects": {cls.__name__: cls for cls in own}}


@pytest.mark.parametrize("is_filled", [True, False], ids=["filled", "empty"])
@pytest.mark.parametrize("make_known", [by_registry, by_keras, by_argument])
def test_own_parts_come_back(make_known, is_filled, tmp_path):
    DeepSearch, Shelf, Strict = own = classes()
    options = make_known(*own)
    inputs = keras.Input((3,))
    model = SimilarityModel(inputs, MetricEmbedding(2)(inputs))
    model.compile(
        search=DeepSearch("cosine", 2, depth=7),
        kv_store=Shelf(boards=5),
        evaluator=Strict(),
    )
    if is_filled:
        model.index(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_index(tmp_path / "index")
    models = [keras.saving.load_model(tmp_path / "model.keras", **options)]
    indexes = [models[0].indexer, Indexer.load(tmp_path / "index", verbose=0, **options)]
    for index in indexes:
        assert [
            type(part) for part in (index.search, index.kv_store, index.evaluator)
        ] == [*own]
        assert index.search.depth == 7 and index.kv_store.boards == 5
    expected = model.lookup(X, k=3, verbose=0)
    assert models[0].lookup(X, k=3, verbose=0) == expected
    models[0].reset_index()
    models[0].load_index(tmp_path / "index", **options)
    assert models[0].lookup(X, k=3, verbose=0) == expected


def test_what_is_not_known_is_named(tmp_path):
    class Unknown(LinearSearch):
        pass

    index = Indexer(3, search=Unknown("cosine", 3))
    index.save(tmp_path)
    with pytest.raises(ValueError, match="Unknown search engine: 'Unknown'"):
        Indexer.load(tmp_path, custom_objects={"Other": Unknown})
    with keras.saving.custom_object_scope({"Unknown": Unknown}):
        assert type(Indexer.load(tmp_path).search) is Unknown
