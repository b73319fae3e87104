"""A Keras model with an index of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity import distances
from keras_similarity.arrays import check_labels
from keras_similarity.backend import keras
from keras_similarity.classification_metrics import make_classification_metric
from keras_similarity.distances import Distance
from keras_similarity.indexer import Indexer
from keras_similarity.matchers import make_classification_matcher
from keras_similarity.models.embedding_model import EmbeddingModel
from keras_similarity.models.forward import row_count
from keras_similarity.models.functional import Functional, leaf_of
from keras_similarity.models.index_options import IndexOptions, distance_of
from keras_similarity.models.learning_rates import multiply_learning_rates
from keras_similarity.models.loss_heads import (
    attached_heads,
    build_losses,
    check_classes,
    heads_of,
    training_mode,
)
from keras_similarity.models.saving import (
    check_target,
    drop_old_options,
    index_folder,
    portable,
    read_assets,
    replace_atomically,
    write_assets,
)
from keras_similarity.preprocessing import Preprocessing
from keras_similarity.registry import register_serializable
from keras_similarity.search.base import check_positive
from keras_similarity.types import CalibrationResults, Floats, Ints, Lookup, Lookups

logger = logging.getLogger(__name__)


@register_serializable
class SimilarityModel(EmbeddingModel):
    """A Keras model that indexes embeddings, finds neighbours and decides on matches.

    Build it as any Keras model: `SimilarityModel(inputs, outputs)`, or as a subclass
    with a `call()`. It is the base of all similarity models, `isinstance` included.
    `model.save("x.keras")` carries the index and its calibration, and
    `keras.saving.load_model` gives them back, under any backend.

    Attributes:
        preprocessing: How a picture becomes an input, or `None`; saved with the model.
        class_names: Names of the labels 0, 1, ..., or `None`; saved with the model.

    Example:
        >>> import keras, numpy as np
        >>> from keras_similarity.models import SimilarityModel
        >>> inputs = keras.Input((2,))
        >>> model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
        >>> model.compile()
        >>> model.index(np.array([[0.0, 1.0], [1.0, 0.0]]), y=[7, 8], verbose=0)
        >>> [neighbor.label for neighbor in model.single_lookup([0.1, 1.0], k=2)]
        [7, 8]
    """

    def _first_parts(self) -> dict[str, Any]:
        return {
            **super()._first_parts(),
            "_index": None,
            "_options": None,
            "_index_saving": {"save_index": True, "compression": True},
        }

    # Compiling.

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        distance: Distance | str = "auto",
        embedding_output: int | str | None = None,
        kv_store: Any = "memory",
        search: Any = "linear",
        evaluator: Any = "memory",
        stat_buffer_size: int = 1000,
        **kwargs: Any,
    ) -> None:
        """Configures training, as `keras.Model.compile`, and the index.

        An index that is there stays, with what is in it, if its distance, its parts and
        the output do not change.

        Args:
            optimizer: As Keras'. So are `loss`, `metrics`, `loss_weights`,
                `weighted_metrics`, `run_eagerly`, `steps_per_execution` and `**kwargs`.
            loss: A loss, or one for each output. The weights and the state of metric
                losses become the model's: trained by `fit`, saved and restored.
            metrics: Metrics of training.
            loss_weights: Weight of each loss.
            weighted_metrics: Metrics that sample weights apply to.
            run_eagerly: Without compilation?
            steps_per_execution: Steps a call of the compiled function.
            distance: Distance of the index. `"auto"` takes that of the (first) loss, and
                cosine without a loss.
            embedding_output: Which output is the embedding: index, or key of a dict;
                `None` for the first.
            kv_store: Store of labels and data, as `create_index`. So are `search`,
                `evaluator` and `stat_buffer_size`.
            search: Search engine.
            evaluator: Evaluator of the index.
            stat_buffer_size: Lookups that statistics are kept of.

        Raises:
            ValueError: If `distance` is `"auto"` and the loss has none, or a loss is for
                embeddings of another width. Then nothing has changed.
        """
        if isinstance(distance, str) and distance == "auto":
            distance = distance_of(loss)
        options = IndexOptions(
            distance, search, kv_store, evaluator, embedding_output, stat_buffer_size
        )
        outputs = self.output if isinstance(self, Functional) else None
        options.check(outputs)
        fresh = self._make_index(options)  # First: it may fail, and changes nothing.
        build_losses(loss, outputs, size=self._size_of_output(embedding_output))
        # Keras goes on with the loss that it has, where none is given.
        heads = heads_of(self.loss if loss is None else loss)
        with attached_heads(self, heads):
            super().compile(
                optimizer=optimizer,
                loss=loss,
                metrics=metrics,
                loss_weights=loss_weights,
                weighted_metrics=weighted_metrics,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                **kwargs,
            )
            multiply_learning_rates(self.optimizer, heads)
        self.__dict__["_forward"] = None  # Layers may have changed.
        if not self._keeps_index(options, fresh):
            self._set_index(options, fresh)

    def get_compile_config(self) -> dict[str, Any]:
        """Arguments of `compile`, as plain data; empty if the model is not compiled."""
        config = super().get_compile_config()
        if config and self._options is not None:
            config["similarity"] = self._options.config()
            config["has_trained"] = bool(self.optimizer and self.optimizer.built)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model with what `get_compile_config` gave."""
        config = portable(dict(config))
        similarity = config.pop("similarity", {})
        has_state = config.pop("has_trained", True)
        self.compile(**keras.saving.deserialize_keras_object(config), **similarity)
        if self.built and self.optimizer is not None and has_state:
            # Or Keras has nothing to restore the optimizer's state into.
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a step, as `keras.Model.compute_loss`.

        The state of losses, such as a memory, changes in training only.
        """
        with training_mode(self.loss, training):
            return super().compute_loss(x, y, y_pred, sample_weight, training=training)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains the model, as `keras.Model.fit`.

        Raises:
            ValueError: On JAX, if a batch of a data set has labels beyond int32, or such
                labels come with a `class_weight`; if the loss has weights of classes and
                an array `y` has other labels.
        """
        check_classes(self.loss, y)
        return super().fit(x, y, *args, **kwargs)

    # The index.

    def create_index(
        self,
        distance: Distance | str = "cosine",
        search: Any = "linear",
        kv_store: Any = "memory",
        evaluator: Any = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
    ) -> None:
        """Creates an empty index, in place of the one that is there.

        `compile` does this too.

        Args:
            distance: A `Distance` or its name.
            search: A `Search`, or the name of one: `"linear"`, `"faiss"`.
            kv_store: A `Store`, or the name of one: `"memory"`.
            evaluator: An `Evaluator`, or `"memory"`.
            embedding_output: Which output is the embedding: index, or key of a dict;
                `None` for the first.
            stat_buffer_size: Lookups that statistics are kept of.

        Raises:
            ValueError: If an engine, a store or the output is not known.
        """
        options = IndexOptions(
            distance, search, kv_store, evaluator, embedding_output, stat_buffer_size
        )
        options.check(self.output if isinstance(self, Functional) else None)
        self._set_index(options, self._make_index(options))

    @property
    def distance(self) -> Distance | None:
        """Distance of the index; `None` before `compile` and `create_index`."""
        return None if self._options is None else distances.get(self._options.distance)

    @property
    def indexer(self) -> Indexer:
        """The index itself.

        Raises:
            ValueError: If there is none yet.
        """
        if self._index is None:
            raise ValueError(
                "The model has no index yet: call `compile()` or `create_index()` first"
                + (", and index an example." if self._options else ".")
            )
        return self._index

    def index(
        self,
        x: Any,
        y: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        *,
        ids: Any = None,
        metadata: Any = None,
    ) -> None:
        """Adds examples to the index.

        Args:
            x: Inputs `[N, ...]`.
            y: Labels `[N]`, integers; without them neighbours have none.
            data: What lookups give back with each row, `[N]`: pictures, names, ...
            build: Make them searchable now? If not, `build_index()` does.
            verbose: Show progress?
            ids: Their ids, integers or strings; as `Indexer.batch_add`, and so is
                `metadata`.
        """
        self._check_has_index()
        if y is not None:
            _check_length("y", y, x)
        embeddings = self.embed(x, verbose=verbose)
        self._index_of(embeddings).batch_add(
            embeddings, y, data, build, verbose, ids=ids, metadata=metadata
        )

    def index_single(
        self,
        x: Any,
        y: int | None = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> None:
        """Adds one example, given with or without a batch axis of 1, to the index."""
        self.index(
            self._as_batch(x),
            y=None if y is None else np.reshape(np.asarray(y), (1,)),
            data=None if data is None else [data],
            build=build,
            verbose=verbose,
        )

    def build_index(self, verbose: int = 1) -> None:
        """Makes the examples searchable that were added with `build=False`."""
        self.indexer.build_index(verbose=verbose)

    def lookup(self, x: Any, k: int = 5, verbose: int = 1, **kwargs: Any) -> Lookups:
        """The `k` nearest neighbours of each example, as columns and as lists.

        Rows are shorter than `k` where the index is smaller, and empty where it is.

        Args:
            x: Inputs `[N, ...]`.
            k: Neighbours of each.
            verbose: Show progress?
            **kwargs: Which neighbours may be found: `filter`, `exclude_self` and
                `max_per_label` of `Indexer.batch_lookup`.
        """
        self._check_has_index()
        k = check_positive("k", k)
        embeddings = self.embed(x, verbose=verbose)
        return self._index_of(embeddings).batch_lookup(embeddings, k, verbose, **kwargs)

    def single_lookup(self, x: Any, k: int = 5, **kwargs: Any) -> list[Lookup]:
        """The `k` nearest neighbours of one example, given as to `index_single`."""
        return self.lookup(self._as_batch(x), k=k, verbose=0, **kwargs)[0]

    def index_size(self) -> int:
        """Number of examples in the index."""
        return 0 if self._index is None else self._index.size()

    def index_summary(self) -> None:
        """Prints what the index is and what it holds."""
        print(self.indexer.summary())

    def reset_index(self) -> None:
        """Empties the index; its calibration goes too."""
        self.indexer.reset()

    def to_data_frame(self, num_items: int = 0) -> Any:
        """The index as a pandas `DataFrame`, or its first `num_items` rows."""
        return self.indexer.to_data_frame(num_items)

    # Decisions.

    def calibrate(
        self,
        x: Any,
        y: Any,
        thresholds_targets: Mapping[str, float] | None = None,
        k: int = 1,
        calibration_metric: Any = "f1",
        matcher: Any = "match_nearest",
        extra_metrics: Sequence[Any] = ("precision", "recall"),
        rounding: int = 2,
        verbose: int = 1,
    ) -> CalibrationResults:
        """Chooses the distances below which a neighbour counts as a match.

        Use examples that the model was not trained on and that are not in the index.

        Args:
            x: Inputs `[N, ...]`.
            y: Their labels `[N]`.
            thresholds_targets: Values of the calibration metric to reach, by the name
                of the cutpoint; one that cannot be reached is left out.
            k: Neighbours that the matcher sees.
            calibration_metric: What the cutpoint `"optimal"` optimises.
            matcher: How neighbours become a label: `"match_nearest"`,
                `"match_majority_vote"` or a `ClassificationMatch`.
            extra_metrics: Also reported for each threshold.
            rounding: Digits in the printed table.
            verbose: Print the cutpoints?

        Raises:
            ValueError: If the index is empty.
        """
        self._check_has_index()
        k = check_positive("k", k)
        labels = _checked_labels(y, x)
        matcher = make_classification_matcher(matcher)
        metric = make_classification_metric(calibration_metric)
        embeddings = self.embed(x, verbose=verbose)
        return self._index_of(embeddings).calibrate(
            embeddings,
            target_labels=labels,
            thresholds_targets=thresholds_targets,
            k=k,
            calibration_metric=metric,
            matcher=matcher,
            extra_metrics=extra_metrics,
            rounding=rounding,
            verbose=verbose,
        )

    def match(
        self,
        x: Any,
        cutpoint: str = "optimal",
        no_match_label: int = -1,
        k: int = 1,
        matcher: Any = "match_nearest",
        verbose: int = 0,
    ) -> Any:
        """Label of each example, or `no_match_label` where no neighbour is near enough.

        Args:
            x: Inputs `[N, ...]`.
            cutpoint: Which threshold of the calibration; `"all"` for a mapping of all.
            no_match_label: Stands for no match.
            k: Neighbours that the matcher sees.
            matcher: As in `calibrate`.
            verbose: Show progress?

        Returns:
            List of `N` labels; with `cutpoint="all"` one by the name of each cutpoint.

        Raises:
            ValueError: If the model is not calibrated, or the cutpoint is not known.
            IndexError: If the index is empty.
        """
        index = self._calibrated_index()
        if cutpoint != "all" and cutpoint not in index.cutpoints:
            known = ", ".join(repr(name) for name in ("all", *index.cutpoints))
            raise ValueError(
                f"`cutpoint` must be one of {known}. Received: {cutpoint!r}."
            )
        k = check_positive("k", k)
        matches = index.match(
            self.embed(x, verbose=verbose),
            no_match_label=no_match_label,
            k=k,
            matcher=matcher,
            verbose=verbose,
        )
        return matches if cutpoint == "all" else matches[cutpoint]

    def evaluate_retrieval(
        self, x: Any, y: Any, retrieval_metrics: Sequence[Any], verbose: int = 1
    ) -> dict[str, Any]:
        """Values of retrieval metrics, by name, with `x` as queries.

        Raises:
            IndexError: If the index is empty.
        """
        index = self._filled_index()
        labels = _checked_labels(y, x)
        return index.evaluate_retrieval(
            self.embed(x, verbose=verbose), labels, retrieval_metrics, verbose=verbose
        )

    def evaluate_classification(
        self,
        x: Any,
        y: Any,
        k: int = 1,
        extra_metrics: Sequence[Any] = ("precision", "recall"),
        matcher: Any = "match_nearest",
        verbose: int = 1,
    ) -> dict[str, dict[str, Any]]:
        """Metrics of the matches at each cutpoint of the calibration.

        Args:
            x: Inputs `[N, ...]`.
            y: Their labels `[N]`.
            k: Neighbours that the matcher sees.
            extra_metrics: Beside the calibration metric.
            matcher: As in `calibrate`.
            verbose: Show progress?

        Returns:
            By the name of the cutpoint, a mapping with its `name`, its `distance` and,
            by the name of each metric, an array `[1]`.

        Raises:
            ValueError: If the model is not calibrated.
            IndexError: If the index is empty.
        """
        index = self._calibrated_index()
        k = check_positive("k", k)
        thresholds = [cutpoint["distance"] for cutpoint in index.cutpoints.values()]
        found = index.evaluate_classification(
            self.embed(x, verbose=verbose),
            target_labels=_checked_labels(y, x),
            distance_thresholds=thresholds,
            metrics=[*extra_metrics, index.get_calibration_metric()],
            matcher=matcher,
            k=k,
            verbose=0,
        )
        # The columns go from the strictest threshold to the laxest.
        order = np.argsort(index.distance.to_cost(np.asarray(thresholds)), kind="stable")
        columns = np.argsort(order).tolist()
        return {
            name: {
                **{metric: values[[column]] for metric, values in found.items()},
                "distance": cutpoint["distance"],
                "name": name,
            }
            for (name, cutpoint), column in zip(
                index.cutpoints.items(), columns, strict=True
            )
        }

    # Saving.

    def save(
        self,
        filepath: Any,
        save_index: bool = True,
        compression: bool = True,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Saves the model, its index and the calibration in one step.

        Whatever interrupts it, the file that was there stays as it was. (So it does not
        with `keras.saving.save_model`, which empties the file first.)

        `keras.saving.load_model` reads files and folders. Download what is at a URL
        first: `fsspec.filesystem("s3").get("bucket/model.keras", "model.keras")`.
        `load_index` reads the index of a model at a URL, too.

        Args:
            filepath: Name that ends in `.keras`, or an fsspec URL that does; another
                name makes a folder with the same content.
            save_index: Does the index go along?
            compression: Compress the index? Smaller, and slower to write and read.
            overwrite: May a file that is there be replaced?
            zipped: As Keras'.
            **kwargs: As Keras'. `include_optimizer`, `save_format`, `signatures`,
                `options` and `save_traces`, of TensorFlow Similarity's programs, do
                nothing.

        Raises:
            FileExistsError: If the file is there and `overwrite` is false, or what is
                there is no saved model, such as a folder with other files.
            ValueError: If the name ends in `.h5`: that format has no place for an index.
        """
        path = os.fspath(filepath)
        check_target(path, overwrite=overwrite)
        if zipped is None:
            zipped = path.endswith(".keras")
        drop_old_options(kwargs)
        save = super().save
        usual = self._index_saving
        self.__dict__["_index_saving"] = {
            "save_index": save_index,
            "compression": compression,
        }
        try:
            replace_atomically(path, lambda part: save(part, zipped=zipped, **kwargs))
        finally:
            self.__dict__["_index_saving"] = usual

    def save_index(
        self, filepath: Any, compression: bool = True, overwrite: bool = True
    ) -> None:
        """Saves the index alone, into a folder.

        Raises:
            FileExistsError: If there is one and `overwrite` is false.
        """
        self.indexer.save(filepath, compression=compression, overwrite=overwrite)

    def load_index(self, filepath: Any) -> None:
        """Puts a saved index in place of the model's.

        Args:
            filepath: A folder that `save_index` wrote, or a model saved with an index;
                or the fsspec URL of one.

        Raises:
            ValueError: If there is none, or it is damaged, or of another embedding size.
        """
        with index_folder(filepath) as folder:
            index = Indexer.load(folder, verbose=0)
        size = self.embedding_size
        if size is not None and index.embedding_size != size:
            raise ValueError(
                f"`filepath` must be an index of the model's embedding size, {size}. "
                f"Received: one of {index.embedding_size}, {filepath!r}."
            )
        self._adopt(index, self._embedding_output)

    index_load = load_index

    def save_assets(self, folder: str) -> None:
        """Keras calls this to let the model save what is no weight."""
        extras: dict[str, Any] = {"embedding_output": self._embedding_output}
        if self.preprocessing is not None:
            extras["preprocessing"] = self.preprocessing.get_config()
        if self.class_names is not None:
            extras["class_names"] = list(self.class_names)
        index = self._index if self._index_saving["save_index"] else None
        write_assets(folder, index, extras, compression=self._index_saving["compression"])

    def load_assets(self, folder: str | None) -> None:
        """Keras calls this with what `save_assets` wrote."""
        index, extras = read_assets(folder)
        if index is not None:
            self._adopt(index, extras.get("embedding_output"))
        if "preprocessing" in extras:
            self.preprocessing = Preprocessing.from_config(extras["preprocessing"])
        self.class_names = extras.get("class_names")

    # Parts.

    def _make_index(self, options: IndexOptions) -> Indexer | None:
        """A new index; `None` where the model does not know its embedding size yet."""
        output = options.embedding_output
        size = self._size_of_output(output)
        if size is None and self._index is not None and output == self._embedding_output:
            size = self._index.embedding_size
        return None if size is None else options.make_index(size)

    def _set_index(self, options: IndexOptions, index: Indexer | None) -> None:
        self._choose_output(options.embedding_output)
        self.__dict__.update(_options=options, _index=index)

    def _keeps_index(self, options: IndexOptions, fresh: Indexer | None) -> bool:
        """Is the index that is there like the fresh one that the options describe?"""
        index, output = self._index, options.embedding_output
        if index is None or fresh is None or output != self._embedding_output:
            return False
        if IndexOptions.of(fresh, output) != IndexOptions.of(index, output):
            if index.size():
                logger.warning("Another index: %d examples are dropped.", index.size())
            return False
        index.evaluator = fresh.evaluator
        self.__dict__["_options"] = options
        return True

    def _adopt(self, index: Indexer, embedding_output: int | str | None) -> None:
        self._choose_output(embedding_output)
        options = IndexOptions.of(index, embedding_output)
        self.__dict__.update(_options=options, _index=index)

    def _check_has_index(self) -> None:
        """Is there an index, or will there be one with the first embedding?"""
        if self._options is None:
            _ = self.indexer

    def _index_of(self, embeddings: Floats) -> Indexer:
        """The index, made now if the model did not know its embedding size before."""
        if self._index is None and self._options is not None:
            size = int(embeddings.shape[-1])
            self.__dict__["_index"] = self._options.make_index(size)
        return self.indexer

    def _filled_index(self) -> Indexer:
        if self.index_size() == 0:
            raise IndexError("The index is empty. Add examples first, with `index()`.")
        return self.indexer

    def _calibrated_index(self) -> Indexer:
        index = self._filled_index()
        if not index.is_calibrated:
            raise ValueError("The model is not calibrated. Call `calibrate()` first.")
        return index


def _known_rows(x: Any) -> int | None:
    """Rows of arrays; `None` for a data set, which only embedding it counts."""
    arrays = keras.tree.flatten(x)
    is_counted = all(hasattr(array, "shape") and len(array.shape) for array in arrays)
    return row_count(x) if arrays and is_counted else None


def _check_length(name: str, column: Any, x: Any) -> None:
    rows = _known_rows(x)
    if rows is not None and len(column) != rows:
        raise ValueError(
            f"`{name}` must hold one entry a row of `x`, {rows} of them. Received: "
            f"{len(column)}."
        )


def _checked_labels(y: Any, x: Any) -> Ints:
    return check_labels(y, name="y", rows=_known_rows(x))


# By its name, so that Keras finds the class of a saved functional model here.
FunctionalSimilarityModel = leaf_of(SimilarityModel)
