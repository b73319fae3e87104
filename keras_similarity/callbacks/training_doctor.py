"""Says early what is wrong with a training."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import keras
from keras_similarity.callbacks.diagnosis import (
    RULES,
    Case,
    Diagnosis,
    Rule,
    Thresholds,
)
from keras_similarity.callbacks.loss_signs import LossSigns
from keras_similarity.callbacks.probe import Probe, as_labels, labels_of, make_probe
from keras_similarity.callbacks.vital_signs import company, geometry, mean_norm
from keras_similarity.losses import MetricLoss
from keras_similarity.search.base import check_positive
from keras_similarity.types import Floats, Ints

logger = logging.getLogger(__name__)

# Rows that are compared with each other: more tell nothing new, and cost.
_ROWS = 256
# What goes into the logs of an epoch.
LOGGED = (
    "effective_rank",
    "alignment",
    "uniformity",
    "active_share",
    "positives_per_row",
    "norm_drift",
    "gradient_norm",
)


class TrainingDoctor(keras.callbacks.Callback):
    """Watches embeddings while they are trained, and names a trouble in one sentence.

    Every `every` steps it embeds a batch like those of the training (without its
    dropout and the like), and looks at it. A trouble that several looks in a row show is
    named once, by `logging` as a warning and in `diagnoses`:

    - `collapse`: all embeddings are one point;
    - `few_directions`: they lie on a line;
    - `no_positives`, `no_negatives`: rows have nobody of their class in the batch, or of
      another; only for losses that compare rows by their labels;
    - `nothing_active`: no pair or triplet has a loss, though neighbours are of the wrong
      class, or from the start on;
    - `norms_explode`, `norms_vanish`: the embeddings' lengths run away;
    - `gradients_explode`, `gradients_vanish`: the loss's gradient in the embeddings does;
    - `nothing_learned`: positives are as far apart as any two rows;
    - `not_finite`: there are NaN or infinities.

    `Thresholds` says where each begins, and why. A healthy training gets no word.

    The numbers go into the logs of each epoch, as means over its looks, under `doctor_`
    and their names: `effective_rank`, `alignment`, `uniformity`, `active_share` (of pairs
    or triplets), `positives_per_row`, `norm_drift` (mean length over that at the start),
    `gradient_norm`, and `diagnoses`, how many there are by now.

    `fit` of a similarity model shows the doctor what it trains on. For another
    `keras.Model`, give `x` and `y`. In a loop of your own, call `observe` every few
    steps.

    Args:
        x: What to look at, as `fit` takes it: arrays, a `Sampler` or another `PyDataset`,
            or a data set that can be iterated over again, of which three batches are
            kept. `None`: what the similarity model is trained on.
        y: Labels `[N]`, if `x` are arrays.
        every: Steps from one look to the next.
        batch_size: Rows of arrays in a look: as many as a batch of the training has.
            `None` takes that of `fit`, or 32.
        embedding_output: Which output of a plain `keras.Model` is the embedding: index,
            or key of a dict; the first by default.
        thresholds: From where on a number is a trouble.

    Attributes:
        diagnoses: The troubles that were named, in order.
        looks: All that was seen: one mapping a look, from names to numbers.

    Raises:
        TypeError: If `every` is no integer.
        ValueError: If `every` is not positive.

    Example:
        >>> import keras, logging, numpy as np
        >>> from keras_similarity.callbacks import TrainingDoctor
        >>> from keras_similarity.losses import TripletLoss
        >>> from keras_similarity.models import SimilarityModel
        >>> logging.disable(logging.WARNING)
        >>> inputs = keras.Input((4,))
        >>> model = SimilarityModel(inputs, keras.layers.Dense(4)(inputs))
        >>> model.compile(loss=TripletLoss())
        >>> x, y = np.eye(32, 4), np.arange(32)  # A class of its own for each row.
        >>> doctor = TrainingDoctor(every=1)
        >>> history = model.fit(x, y, epochs=3, verbose=0, callbacks=[doctor])
        >>> logging.disable(logging.NOTSET)
        >>> [(each.name, each.step) for each in doctor.diagnoses]
        [('no_positives', 1)]
        >>> history.history["doctor_positives_per_row"]
        [0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        x: Any = None,
        y: Any = None,
        *,
        every: int = 20,
        batch_size: int | None = None,
        embedding_output: int | str | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        super().__init__()
        self.every = check_positive("every", every)
        self.batch_size = batch_size
        self.embedding_output = embedding_output
        self.thresholds = thresholds or Thresholds()
        self._given = None if x is None else (x, y)
        self._probe: Probe | None = None
        self._epoch = 0
        # So that nothing here is the watched model's, or changes it.
        self._random = np.random.default_rng(0)
        self.reset()

    def reset(self) -> None:
        """Forgets all that was seen and named."""
        self.diagnoses: list[Diagnosis] = []
        self.looks: list[dict[str, float]] = []
        self._since: dict[str, list[int]] = {}
        self._loss_signs: LossSigns | None = None
        self._step = self._next_look = 0
        self._first_step = self._first_look = 0

    # In a loop of one's own.

    def observe(
        self,
        embeddings: Any,
        labels: Any = None,
        *,
        loss: Any = None,
        step: int | None = None,
        learning_rate: float | None = None,
    ) -> list[Diagnosis]:
        """Looks at a batch; returns the troubles that are named now for the first time.

        Args:
            embeddings: Floats `[N, D]` of any framework, of two rows at least, as the
                model gives them.
            labels: Integers `[N]`.
            loss: A loss, called as `loss(labels, embeddings)`: its gradient and its
                active pairs are looked at, too. Nothing of it changes.
            step: The number of the training's step; by default that of the call, from 0.
            learning_rate: For the sentence.

        Raises:
            ValueError: If shapes do not fit.

        Example:
            >>> import numpy as np
            >>> from keras_similarity.callbacks import TrainingDoctor
            >>> doctor = TrainingDoctor()
            >>> for step in range(0, 80, 20):
            ...     named = doctor.observe(np.ones((8, 4)), np.arange(8) % 4, step=step)
            >>> named[0].name, named[0].since
            ('collapse', 0)
        """
        rows = to_numpy(embeddings)
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(
                "`embeddings` must have the shape [rows, embedding size], with two rows "
                f"at least. Received: embeddings.shape={rows.shape}."
            )
        ids = as_labels(labels)
        if labels is not None and (ids is None or len(ids) != len(rows)):
            raise ValueError(
                "`labels` must be integers, one a row of `embeddings`. Received: shapes "
                f"{np.shape(labels)} and {rows.shape}."
            )
        step = self._step if step is None else step
        self._step = step + 1
        signs = self._signs(rows.astype("float32"), ids, loss)
        self.looks.append({"step": float(step), **signs})
        case = Case(self.looks, self.thresholds, loss, learning_rate)
        return self._judge(case, step)

    def _signs(self, rows: Floats, ids: Ints | None, loss: Any) -> dict[str, float]:
        with np.errstate(over="ignore"):
            norm = mean_norm(rows)
        if not np.isfinite(norm):
            return {"is_finite": 0.0}
        first = next((look["norm"] for look in self.looks if look.get("norm")), norm)
        signs = {"norm": norm, "norm_drift": norm / first if first else 1.0}
        signs["dimensions"] = float(rows.shape[1])
        some = np.arange(len(rows))
        if len(rows) > _ROWS:
            some = self._random.choice(len(rows), _ROWS, replace=False)
        signs |= geometry(rows[some], None if ids is None else ids[some])
        if ids is None:
            return signs
        signs |= {"num_classes": float(len(np.unique(ids))), **company(ids)}
        if loss is not None:
            if self._loss_signs is None or self._loss_signs.loss is not loss:
                self._loss_signs = LossSigns(loss)
            signs |= self._loss_signs(ids, rows)
            if not np.isfinite(signs.get("loss", 0.0)):
                signs["is_finite"] = 0.0
        return signs

    def _judge(self, case: Case, step: int) -> list[Diagnosis]:
        named = {diagnosis.name for diagnosis in self.diagnoses}
        shown = []
        for rule in RULES:
            steps = self._since.setdefault(rule.name, [])
            if rule.holds(case):
                steps.append(step)
                shown.append(rule)
            else:
                steps.clear()
        explained = named | {rule.name for rule in shown}
        new = [
            self._name(rule, case, step)
            for rule in shown
            if rule.name not in named
            and len(self._since[rule.name]) >= rule.looks
            and not explained & set(rule.unless)
        ]
        self.diagnoses += new
        return new

    def _name(self, rule: Rule, case: Case, step: int) -> Diagnosis:
        since = self._since[rule.name][0]
        figures = {
            name: value for name, value in case.looks[-1].items() if name != "step"
        }
        sentence = rule.sentence(case).format(since=since, **figures)
        logger.warning("Step %d: %s", step, sentence)
        return Diagnosis(rule.name, step, since, sentence, figures)

    # In `fit`.

    def show_data(self, x: Any, y: Any = None, batch_size: int | None = None) -> None:
        """Tells what `fit` trains on; a similarity model calls it.

        What the doctor was given itself comes first.
        """
        if self._given is None:
            self._probe = make_probe(x, y, self.batch_size or batch_size)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras.

        Raises:
            ValueError: If there is nothing to look at.
        """
        if self._given is not None:
            self._probe = make_probe(*self._given, self.batch_size)
        if self._probe is None:
            raise ValueError(
                "`x` must be given to `TrainingDoctor` for a model that is no "
                "`SimilarityModel`: it cannot see what `fit` trains on. Received: None. "
                "Write TrainingDoctor(x, y)."
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._probe = None  # Or the data would live as long as the doctor.

    def set_model(self, model: Any) -> None:
        """Called by Keras; another model is another patient."""
        if self._model is not None and self._model is not model:
            self.reset()
        super().set_model(model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._epoch = epoch
        self._first_step, self._first_look = self._step, len(self.looks)

    # Not at the end of a step: for a callback that is called there, Keras waits for the
    # numbers of each step, on JAX and torch.
    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Called by Keras."""
        step = self._first_step + batch
        if step >= self._next_look:
            self._look(batch, step)
        self._step = step + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the numbers into `logs`, in place."""
        if self._first_look == len(self.looks):
            step = self._step
            self._look(0, step)
            self._step = step
        if logs is None:
            return
        looks = self.looks[self._first_look :]
        for name in LOGGED:
            values = [look[name] for look in looks if name in look]
            if values:
                logs[f"doctor_{name}"] = float(np.mean(values))
        logs["doctor_diagnoses"] = float(len(self.diagnoses))

    def _look(self, batch: int, step: int) -> None:
        if self._probe is None:
            return
        self._next_look = step + self.every
        model = self.model  # On JAX this brings the weights up to date.
        data = self._probe(self._epoch, batch)
        inputs = data[0] if isinstance(data, (tuple, list)) else data
        rows = _embed(model, inputs, self.embedding_output)
        self.observe(
            rows,
            labels_of(data),
            loss=_loss_of(model),
            step=step,
            learning_rate=_learning_rate(model),
        )


def _embed(model: Any, x: Any, output: int | str | None) -> Floats:
    if hasattr(model, "embed"):
        return model.embed(x)
    outputs = model.predict_on_batch(x)
    if isinstance(outputs, dict):
        return outputs[min(outputs) if output is None else output]
    if isinstance(outputs, (list, tuple)):
        return outputs[int(output or 0)]
    return outputs


def _loss_of(model: Any) -> Any:
    """The first metric loss, or the only loss if it is a function or an object."""
    losses = [each for each in keras.tree.flatten(model.loss) if callable(each)]
    metric_losses = [each for each in losses if isinstance(each, MetricLoss)]
    if metric_losses:
        return metric_losses[0]
    return losses[0] if len(losses) == 1 else None


def _learning_rate(model: Any) -> float | None:
    rate = getattr(model.optimizer, "learning_rate", None)
    return None if rate is None else float(keras.ops.convert_to_numpy(rate))
