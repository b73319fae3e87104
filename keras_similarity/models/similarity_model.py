"""A Keras model with an index of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from keras_similarity.backend import keras
from keras_similarity.distances import Distance
from keras_similarity.indexer import Indexer
from keras_similarity.models.deciding_model import DecidingModel
from keras_similarity.models.functional import Functional, leaf_of
from keras_similarity.models.index_options import (
    IndexOptions,
    arguments_of,
    custom_classes,
    distance_of,
)
from keras_similarity.models.learning_rates import multiply_learning_rates
from keras_similarity.models.loss_heads import (
    attached_heads,
    build_losses,
    check_classes,
    heads_of,
    training_mode,
)
from keras_similarity.models.onlookers import show_data
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
from keras_similarity.registry import custom_objects_scope, register_serializable


@register_serializable
class SimilarityModel(DecidingModel):
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
            "_custom_classes": {},
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
        # Given to `load_model`, they are known now, and no longer in `load_assets`.
        self.__dict__["_custom_classes"] = custom_classes(similarity)
        similarity = arguments_of(similarity) if similarity else {}
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
        show_data(x, y, *args, **kwargs)
        return super().fit(x, y, *args, **kwargs)

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

    def load_index(
        self,
        filepath: Any,
        *,
        check_model: bool = True,
        mmap: bool = False,
        custom_objects: Mapping[str, Any] | None = None,
    ) -> None:
        """Puts a saved index in place of the model's.

        The first lookup raises a `ValueError` if the index was made by a model with other
        weights or another preprocessing.

        Args:
            filepath: A folder that `save_index` wrote, or a model saved with an index;
                or the fsspec URL of one.
            check_model: Off, the index is taken to be this model's.
            mmap: Leave the vectors in the files? See `Indexer.load`. Not for what is in
                a `.keras` file.
            custom_objects: As `Indexer.load`.

        Raises:
            ValueError: If there is none, or it is damaged, or of another embedding size,
                or cannot be mapped.
        """
        if mmap and os.path.isfile(filepath):
            raise ValueError(
                "`filepath` must be a folder to be mapped: a file of a model is an "
                f"archive. Received: {os.fspath(filepath)!r}, mmap=True."
            )
        with index_folder(filepath) as folder:
            index = Indexer.load(
                folder, verbose=0, mmap=mmap, custom_objects=custom_objects
            )
        if not check_model:
            index.model = None
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
        with custom_objects_scope(self._custom_classes):
            index, extras = read_assets(folder)
        if index is not None:
            self._adopt(index, extras.get("embedding_output"))
        if "preprocessing" in extras:
            self.preprocessing = Preprocessing.from_config(extras["preprocessing"])
        self.class_names = extras.get("class_names")


# By its name, so that Keras finds the class of a saved functional model here.
FunctionalSimilarityModel = leaf_of(SimilarityModel)
