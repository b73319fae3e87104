"""Losses with a memory of past batches, and losses around others."""

import json

import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import framework, label_dtype, ops
from keras_similarity.losses import (
    XBM,
    ContrastiveLoss,
    CrossBatchMemory,
    MetricLoss,
    MultipleLosses,
    MultiSimilarityLoss,
    NCALoss,
    NTXentLoss,
    PNLoss,
    SelfSupervisedLoss,
    SoftNearestNeighborLoss,
    SupConLoss,
    TripletLoss,
    VicReg,
)
from keras_similarity.losses.memory import Memory
from keras_similarity.pairs import Pairs
from tests.backend import gradient, jit

RANDOM = np.random.default_rng(5)
BATCHES = [
    (RANDOM.integers(0, 4, size=6), RANDOM.normal(size=(6, 4)).astype("float32"))
    for _ in range(5)
]
# Those whose formula is over the pairs that there are.
INNER = {
    "contrastive": ContrastiveLoss(),
    "nt_xent": NTXentLoss(temperature=0.3),
    "sup_con": SupConLoss(),
    "nca": NCALoss(),
    "multi similarity": MultiSimilarityLoss(),
    "triplet": TripletLoss(margin=0.4),
    "pn": PNLoss("sql2", margin=0.4),
    "soft nearest neighbour": SoftNearestNeighborLoss(),
    "per anchor": ContrastiveLoss(reduction="sum"),
}
inner_losses = pytest.mark.parametrize("inner", INNER.values(), ids=INNER)


def nca_by_loops(labels, embeddings, key_labels, keys, is_pair):
    """Mean over the rows with a positive, of unit vectors, in float64."""
    unit = [
        x.astype("float64") / np.linalg.norm(x, axis=1, keepdims=True)
        for x in (embeddings, keys)
    ]
    found = []
    for i in range(len(labels)):
        near = np.exp(-((unit[0][i] - unit[1]) ** 2).sum(1)) * is_pair[i]
        is_same = key_labels == labels[i]
        if (is_same & is_pair[i]).any():
            found.append(-np.log(near[is_same].sum() / near.sum()))
    return np.mean(found) if found else 0.0


def expected_loss(inner, labels, embeddings, key_labels, keys, is_pair):
    if isinstance(inner, NCALoss):  # Pairs that are given would weight its rows.
        return nca_by_loops(labels, embeddings, key_labels, keys, is_pair)
    pairs = pairs_of(labels, key_labels, is_pair)
    keys = {"key_labels": key_labels, "key_embeddings": keys}
    return float(inner(labels, embeddings, pairs=pairs, **keys))


def pairs_of(labels, key_labels, is_pair):
    is_same = labels[:, None] == key_labels[None, :]
    return Pairs(is_same & is_pair, ~is_same & is_pair)


class Ring:
    """The memory of PyTorch Metric Learning by loops."""

    def __init__(self, size, width):
        self.embeddings = np.zeros((size, width), "float32")
        self.labels = np.zeros(size, "int64")
        self.owner = np.full(size, -1)
        self.written = 0

    def write(self, labels, embeddings):
        self.owner[:] = -1
        for row, (label, embedding) in enumerate(zip(labels, embeddings, strict=True)):
            slot = self.written % len(self.labels)
            self.embeddings[slot], self.labels[slot] = embedding, label
            self.owner[slot] = row
            self.written += 1

    @property
    def filled(self):
        return slice(0, min(self.written, len(self.labels)))


@inner_losses
def test_cross_batch_memory_compares_with_what_is_in_the_memory(inner):
    loss, ring = CrossBatchMemory(inner, 4, memory_size=14), Ring(14, 4)
    for labels, embeddings in BATCHES:
        ring.write(labels, embeddings)
        filled = ring.filled
        is_other = ring.owner[filled][None, :] != np.arange(6)[:, None]
        keys = ring.labels[filled], ring.embeddings[filled]
        expected = expected_loss(inner, labels, embeddings, *keys, is_other)
        found = float(loss(labels, embeddings))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        np.testing.assert_allclose(
            ops.convert_to_numpy(loss.embedding_memory), ring.embeddings
        )
        assert loss.queue_idx == ring.written % 14
        assert loss.has_been_filled == (ring.written >= 14)


@inner_losses
def test_a_memory_of_one_batch_is_the_plain_loss(inner):
    labels, embeddings = BATCHES[0]
    expected = float(inner(labels, embeddings))
    for loss in (CrossBatchMemory(inner, 4, memory_size=6), XBM(inner, 6), XBM(inner, 2)):
        found = float(loss(labels, embeddings))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@inner_losses
def test_xbm_compares_with_the_batch_and_the_memory(inner):
    loss = XBM(inner, memory_size=14)
    memory_labels, memory = np.zeros(0, "int64"), np.zeros((0, 4), "float32")
    for labels, embeddings in BATCHES:
        memory_labels = np.concatenate([labels, memory_labels])[:14]
        memory = np.concatenate([embeddings, memory])[:14]
        is_other = ~np.eye(6, len(memory), dtype=bool)
        keys = memory_labels, memory
        expected = expected_loss(inner, labels, embeddings, *keys, is_other)
        found = float(loss(labels, embeddings))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        np.testing.assert_array_equal(loss.memory_labels, memory_labels)
        np.testing.assert_allclose(loss.memory_embeddings, memory)


def test_an_xbm_smaller_than_the_batch_keeps_its_first_rows():
    loss = XBM(TripletLoss(), memory_size=4)
    for labels, embeddings in BATCHES[:2]:
        loss(labels, embeddings)
        np.testing.assert_array_equal(loss.memory_labels, labels[:4])
        np.testing.assert_allclose(loss.memory_embeddings, embeddings[:4])


def test_xbm_warms_up():
    loss = XBM(TripletLoss(), memory_size=20, warmup_steps=2)
    sizes = []
    for labels, embeddings in BATCHES[:4]:
        loss(labels, embeddings)
        sizes.append(len(loss.memory_labels))
    assert sizes == [0, 0, 6, 12]
    loss.reset_queue()
    loss(*BATCHES[0])
    assert len(loss.memory_labels) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: CrossBatchMemory(ContrastiveLoss(), 4, memory_size=14),
        lambda: XBM(TripletLoss("sql2", margin=0.3), 14, embedding_size=4),
        lambda: XBM(TripletLoss(), 14, warmup_steps=1, embedding_size=4),
        lambda: MultipleLosses(
            [CrossBatchMemory(NTXentLoss(), 4, memory_size=8), ContrastiveLoss()]
        ),
    ],
    ids=["cross-batch", "xbm", "xbm, warm-up", "multiple"],
)
def test_evaluation_has_the_same_loss_and_changes_nothing(make):
    loss = make()
    assert loss.is_stateful
    for labels, embeddings in BATCHES[:3]:
        loss.training = False
        before = [ops.convert_to_numpy(v).copy() for v in loss.variables]
        evaluated = float(loss(labels, embeddings))
        for variable, value in zip(loss.variables, before, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
        loss.training = True
        assert float(loss(labels, embeddings)) == pytest.approx(evaluated, rel=1e-6)
        assert any(
            (ops.convert_to_numpy(variable) != value).any()
            for variable, value in zip(loss.variables, before, strict=True)
        )


def test_gradients_reach_the_anchors_of_one_and_both_roles_of_the_other():
    """With two rows, one positive pair: in two roles the slope is twice that of one."""
    labels, x = np.array([0, 0]), np.array([[1.0, 0.0], [0.0, 2.0]], "float32")
    inner = ContrastiveLoss(distance="sql2", reducer="sum")
    plain = gradient(lambda t: inner(labels, t), x)
    memory, both = CrossBatchMemory(inner, 2, memory_size=2), XBM(inner, 8)
    anchors = gradient(lambda t: memory(labels, t), x)
    np.testing.assert_allclose(anchors, 0.5 * plain, rtol=1e-5)
    both.build(2)
    roles = gradient(lambda t: both(labels, t), x)
    np.testing.assert_allclose(roles, plain, rtol=1e-5)


def test_an_enqueue_mask_divides_the_batch():
    labels, embeddings = BATCHES[0]
    mask = np.array([True, False, True, False, False, True])
    inner = NTXentLoss(reduction="none")
    weights = np.arange(6.0)
    expected = inner(
        labels[~mask],
        embeddings[~mask],
        weights[~mask],
        key_labels=labels[mask],
        key_embeddings=embeddings[mask],
    )
    for given in (mask, mask.tolist(), ops.convert_to_tensor(mask)):
        loss = CrossBatchMemory(inner, 4, memory_size=10)
        found = loss(labels, embeddings, weights, enqueue_mask=given)
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=1e-5
        )
        assert loss.queue_idx == 3
    loss(labels, embeddings, enqueue_mask=[False] * 6)
    assert loss.queue_idx == 3
    assert float(loss(labels, embeddings, enqueue_mask=[True] * 6)) == 0
    assert loss.queue_idx == 9


def test_a_miner_chooses_among_batch_and_memory_and_pairs_are_added():
    labels, embeddings = BATCHES[0]
    mined = CrossBatchMemory(
        ContrastiveLoss(reducer="sum"), 4, memory_size=6, miner="multi_similarity"
    )
    inside = CrossBatchMemory(
        ContrastiveLoss(reducer="sum", miner="multi_similarity"), 4, memory_size=6
    )
    found = float(mined(labels, embeddings))
    assert found == pytest.approx(float(inside(labels, embeddings)))
    extra = np.zeros((6, 6), bool)
    positives = extra.copy()
    positives[0, 5] = True
    with_pairs = CrossBatchMemory(
        ContrastiveLoss(reducer="sum"), 4, memory_size=6, miner="multi_similarity"
    )
    more = float(with_pairs(labels, embeddings, pairs=Pairs(positives, extra)))
    alone = ContrastiveLoss(reducer="sum")(
        None, embeddings, pairs=Pairs(positives, extra)
    )
    assert more == pytest.approx(found + float(alone), rel=1e-5)


def test_compiled_steps_carry_the_memory():
    labels, embeddings = (ops.convert_to_tensor(x) for x in BATCHES[0])
    labels = ops.cast(labels, "int32")
    loss = CrossBatchMemory(ContrastiveLoss(), 4, memory_size=8)
    expected = float(CrossBatchMemory(ContrastiveLoss(), 4, memory_size=8)(*BATCHES[0]))
    if framework() != "jax":
        found = float(jit(lambda y, x: loss(y, x))(labels, embeddings))
        assert found == pytest.approx(expected, rel=1e-5)
        assert loss.queue_idx == 6
        return
    with pytest.raises(ValueError, match=r"which `jax[.]jit` does not"):
        jit(lambda y, x: loss(y, x))(labels, embeddings)
    assert loss.queue_idx == 0

    def step(values, y, x):
        mapping = zip(loss.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=list(mapping)) as scope:
            value = loss(y, x)
        return value, [scope.get_current_value(v) for v in loss.variables]

    values = [variable.value for variable in loss.variables]
    found, values = jit(step)(values, labels, embeddings)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    for variable, value in zip(loss.variables, values, strict=True):
        variable.assign(value)
    assert loss.queue_idx == 6


def test_a_compiled_loss_must_know_its_width():
    labels, embeddings = (ops.convert_to_tensor(x) for x in BATCHES[0])
    loss = XBM(TripletLoss(), 14)
    loss.training = False
    with pytest.raises(Exception, match="`embedding_size` must be given"):
        jit(lambda y, x: loss(y, x))(ops.cast(labels, "int32"), embeddings)


def test_labels_that_a_memory_cannot_keep_are_refused():
    ids = np.array([2**40, 2**40, 1, 1, 2**40 + 1, 2**40 + 1])
    for loss in (CrossBatchMemory(ContrastiveLoss(), 4), XBM(TripletLoss(), 14)):
        if label_dtype() == "int32":
            with pytest.raises(ValueError, match="`y_true` must fit into int32"):
                loss(ids, BATCHES[0][1])
        else:
            loss(ids, BATCHES[0][1])
            small = type(loss).from_config(loss.get_config())
            numbers = np.array([1, 1, 0, 0, 2, 2])
            small(numbers, BATCHES[0][1])
            found, expected = loss(ids, BATCHES[1][1]), small(numbers, BATCHES[1][1])
            assert float(found) == pytest.approx(float(expected))


def test_half_precision_embeddings_are_kept_in_float32():
    labels, embeddings = BATCHES[0]
    loss = CrossBatchMemory(ContrastiveLoss(), 4, memory_size=8)
    found = loss(labels, ops.cast(ops.convert_to_tensor(embeddings), "bfloat16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert keras.backend.standardize_dtype(loss.embedding_memory.dtype) == "float32"


def test_the_memory_is_a_ring():
    memory = Memory(
        ops.zeros((5, 1)), ops.zeros((5,), "int32"), ops.array(0), ops.array(0)
    )
    for start in (0, 3, 6):
        rows = np.arange(start, start + 3)
        memory = memory.enqueued(
            ops.convert_to_tensor(rows[:, None].astype("float32")),
            ops.convert_to_tensor(rows.astype("int32")),
        )
    assert ops.convert_to_numpy(memory.labels).tolist() == [5, 6, 7, 8, 4]
    assert ops.convert_to_numpy(memory.ages).tolist() == [3, 2, 1, 0, 4]
    assert int(memory.position) == 4
    assert int(memory.count) == 5


class OwnMask(MetricLoss):
    """A user's loss that sees costs and masks only."""

    def anchor_losses(self, cost, pairs):
        return ops.sum(ops.where(pairs.positive_mask, cost, 0.0), axis=1)


class OwnTerms(MetricLoss):
    def sub_losses(self, batch):
        return {}


class Derived(ContrastiveLoss):
    pass


def test_which_losses_have_a_memory():
    for loss in (OwnMask(), Derived(), "contrastive", "triplet_loss"):
        CrossBatchMemory(loss, 4)
        SelfSupervisedLoss(loss)
    for loss in (OwnTerms(), VicReg(), MultipleLosses([ContrastiveLoss()])):
        for make in (
            lambda loss: CrossBatchMemory(loss, 4),
            lambda loss: XBM(loss, 4),
            SelfSupervisedLoss,
        ):
            with pytest.raises(ValueError, match="must be one that is about pairs"):
                make(loss)


WRAPPERS = {
    "cross-batch": lambda: CrossBatchMemory(
        NTXentLoss(temperature=0.5), 4, memory_size=9, miner="multi_similarity"
    ),
    "xbm": lambda: XBM(TripletLoss(margin=0.3), 9, 1, "sum", embedding_size=4),
    "multiple": lambda: MultipleLosses(
        {"a": "contrastive", "b": XBM("triplet", 5, embedding_size=4)},
        miners={"a": "multi_similarity"},
        weights={"a": 0.5},
    ),
    "list": lambda: MultipleLosses(["contrastive", NTXentLoss(temperature=0.2)]),
}


@pytest.mark.parametrize("make", WRAPPERS.values(), ids=WRAPPERS)
def test_config_survives_json_with_equal_values(make):
    loss = make()
    config = json.loads(json.dumps(losses.serialize(loss)))
    through_keras = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    copies = [
        losses.deserialize(config),
        keras.saving.deserialize_keras_object(through_keras),
    ]
    for copy in copies:
        assert copy.get_config() == loss.get_config()
        assert len(copy.variables) == len(loss.variables)
    for labels, embeddings in BATCHES[:3]:
        expected = float(loss(labels, embeddings))
        for copy in copies:
            assert float(copy(labels, embeddings)) == expected


def test_multiple_losses_are_a_weighted_sum():
    labels, embeddings = BATCHES[0]
    parts = [ContrastiveLoss(), NTXentLoss()]
    values = [float(part(labels, embeddings)) for part in parts]
    assert float(MultipleLosses(parts)(labels, embeddings)) == pytest.approx(sum(values))
    weighted = MultipleLosses(parts, weights=[2, 0.5])
    expected = 2 * values[0] + 0.5 * values[1]
    assert float(weighted(labels, embeddings)) == pytest.approx(expected, rel=1e-6)
    mined = MultipleLosses(parts, miners=["multi_similarity", None])
    first = float(ContrastiveLoss(miner="multi_similarity")(labels, embeddings))
    assert float(mined(labels, embeddings)) == pytest.approx(first + values[1], rel=1e-6)
    assert abs(first - values[0]) > 1e-3
    views = MultipleLosses([VicReg(), SelfSupervisedLoss("nt_xent")])
    other = BATCHES[1][1]
    expected = float(VicReg()(embeddings, other))
    expected += float(SelfSupervisedLoss("nt_xent")(embeddings, other))
    assert float(views(embeddings, other)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: CrossBatchMemory("nt_xent", 4, memory_size=0),
            ValueError,
            "memory_size",
        ),
        (lambda: CrossBatchMemory("nt_xent", 0), ValueError, "embedding_size"),
        (lambda: XBM("triplet", 4, warmup_steps=-1), ValueError, "warmup_steps"),
        (
            lambda: CrossBatchMemory("nt_xent", 4, memory_size=5)(*BATCHES[0]),
            ValueError,
            "`memory_size` must be as large as a batch",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 3)(*BATCHES[0]),
            ValueError,
            "`y_pred` must have 3 columns",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 3).build(4),
            ValueError,
            "that of the model",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 4)(
                *BATCHES[0], key_labels=[0], key_embeddings=np.ones((1, 4))
            ),
            TypeError,
            "keys of CrossBatchMemory are its memory.*: key_labels, key_embeddings[.]",
        ),
        (
            lambda: XBM("triplet", 9)(
                *BATCHES[0], pairs=Pairs(np.eye(6) > 0, np.eye(6) > 0)
            ),
            TypeError,
            "keys of XBM are its memory.* Received: pairs[.]",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 4)(*BATCHES[0], enqueue_mask=[True]),
            ValueError,
            "`enqueue_mask` must hold a bool a row, 6",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 4)(BATCHES[0][1], BATCHES[0][0]),
            TypeError,
            "other way round",
        ),
        (lambda: MultipleLosses([]), ValueError, "one loss at least"),
        (lambda: MultipleLosses(["nt_xent"], weights=[1, 2]), ValueError, "`weights`"),
        (
            lambda: MultipleLosses({"a": "nt_xent"}, weights=[1]),
            ValueError,
            "`weights` must be a dict",
        ),
        (
            lambda: MultipleLosses({"a": "nt_xent"}, miners={"b": "multi_similarity"}),
            ValueError,
            "`miners` must have names",
        ),
        (
            lambda: MultipleLosses(
                [CrossBatchMemory("nt_xent", 4)], miners=["multi_similarity"]
            ),
            ValueError,
            "`miners` cannot be used",
        ),
        (
            lambda: MultipleLosses(["nt_xent"], miners=["multi_similarity"])(
                *BATCHES[0], pairs=Pairs(np.eye(6) > 0, np.eye(6) > 0)
            ),
            ValueError,
            "`pairs` must be None.* Received: pairs",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 4)(
                *BATCHES[0],
                pairs=Pairs(np.eye(6) > 0, np.eye(6) > 0),
                enqueue_mask=[True] * 6,
            ),
            ValueError,
            "`pairs` and `enqueue_mask` exclude .* Received: both",
        ),
        (
            lambda: CrossBatchMemory("nt_xent", 4, 6, "triplet_margin")(
                *BATCHES[0], pairs=Pairs(np.eye(6) > 0, np.eye(6) > 0)
            ),
            ValueError,
            "`pairs` cannot be added .* Received: a miner that gives Triplet",
        ),
        (
            lambda: XBM("triplet", 9).queue,
            ValueError,
            "`embedding_size` must be known .* Received: embedding_size=None",
        ),
    ],
)
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


INNER_OPTIONS = {
    "distance": "l2",
    "miner": "multi_similarity",
    "reducer": "sum",
    "reduction": "sum",
    "embedding_regularizer": "lp",
    "embedding_reg_weight": 2.0,
    "remove_diagonal": False,
}
TAKE_INNER_OPTIONS = {
    "multiple": (lambda **options: MultipleLosses(["nt_xent"], **options), ()),
    "self-supervised": (lambda **options: SelfSupervisedLoss("nt_xent", **options), ()),
    "xbm": (lambda **options: XBM("nt_xent", 4, **options), ("reduction",)),
    "cross-batch": (
        lambda **options: CrossBatchMemory("nt_xent", 4, **options),
        ("miner",),
    ),
}


@pytest.mark.parametrize(
    ("make", "own"), TAKE_INNER_OPTIONS.values(), ids=TAKE_INNER_OPTIONS
)
def test_options_of_the_inner_loss_are_kept_or_refused(make, own):
    make(name="mine", dtype="float32")
    for option, value in INNER_OPTIONS.items():
        if option in own:
            assert make(**{option: value}).get_config()[option] not in (None, "auto")
            continue
        message = f"`{option}` must not be given .*{option}={value!r}.*to the inner loss"
        with pytest.raises(TypeError, match=message):
            make(**{option: value})
    with pytest.raises(TypeError, match="redution"):
        make(redution="sum")


@pytest.mark.parametrize("inner", [NTXentLoss(), NTXentLoss(reduction="sum")])
def test_a_wrapper_reduces_as_the_loss_inside(inner):
    for wrapper in (
        SelfSupervisedLoss(inner),
        XBM(inner, 4),
        CrossBatchMemory(inner, 4),
    ):
        assert wrapper.reducer is inner.reducer
        assert wrapper.reduction == inner.reduction


def test_a_memory_takes_no_labels_that_were_floats():
    for loss in (CrossBatchMemory("nt_xent", 4), XBM("nt_xent", 9)):
        with pytest.raises(TypeError, match="`y_true` must be integers; as float32"):
            loss(np.float32([16777216, 16777217, 1, 1, 2, 2]), BATCHES[0][1])
        loss([16777216, 16777217, 1, 1, 2, 2], BATCHES[0][1])


def test_a_refused_call_changes_nothing():
    loss = CrossBatchMemory("nt_xent", 4, memory_size=8)
    for labels, embeddings in (
        ([0] * 5, BATCHES[0][1]),
        ([0.5] * 6, BATCHES[0][1]),
        (BATCHES[0][0], np.ones((6, 3), "float32")),
    ):
        with pytest.raises((TypeError, ValueError)):
            loss(labels, embeddings)
    assert loss.queue_idx == 0
