"""Every loss keeps the rules, and a broken one is named by its fault."""

import keras
import pytest

from keras_similarity.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    HistogramLoss,
    MarginLoss,
    MultipleLosses,
    ProxyNCALoss,
    TripletLoss,
)
from keras_similarity.reducers import ClassWeightedReducer
from keras_similarity.testing import check_loss, find_faults
from keras_similarity.testing.faults import CHECKS
from tests.testing.broken import BROKEN, Margin


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_loss_is_named_by_its_fault(fault):
    name = fault.partition(",")[0]
    found = find_faults(BROKEN[fault])
    assert name in found, found
    if name != "repeat":  # What remembers a batch has no value that could be compared.
        assert set(found) == {name}, found
    assert all(sentence.strip() for sentence in found[name])


WHOLE = {
    "a regularizer": lambda: TripletLoss(embedding_regularizer="lp"),
    "a loss of classes inside": lambda: MultipleLosses(
        [ArcFaceLoss(3, 7), "contrastive"]
    ),
    "a miner inside": lambda: MultipleLosses(["triplet"], miners=["multi_similarity"]),
    "a boundary a class": lambda: MarginLoss(learn_beta=True, num_classes=5),
    "a weight a class": lambda: ContrastiveLoss(
        reducer=ClassWeightedReducer([1, 2, 0.5])
    ),
    "weights and a regularizer": lambda: ProxyNCALoss(5, 6, embedding_regularizer="lp"),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_a_whole_loss_has_no_fault(make):
    assert find_faults(make()) == {}


def test_a_loss_without_keys_must_have_a_value_for_each_row(monkeypatch):
    monkeypatch.setattr(HistogramLoss, "is_row_wise", True)
    found = find_faults(HistogramLoss(), skip=set(CHECKS) - {"split"})
    (sentence,) = found["split"]
    assert "no value for each anchor" in sentence


def test_what_the_broken_ones_spoil_is_whole():
    assert find_faults(Margin()) == {}


def test_there_is_a_broken_loss_for_each_check():
    assert {fault.partition(",")[0] for fault in BROKEN} == set(CHECKS)


def test_an_error_says_all():
    with pytest.raises(AssertionError, match=r"Detached breaks . of 10 rules") as error:
        check_loss(BROKEN["gradient"])
    assert "is something detached" in str(error.value)


def test_any_function_of_labels_and_embeddings_is_checked():
    def whole(labels, embeddings):
        return TripletLoss()(labels, embeddings)

    assert set(find_faults(whole)) == {"config"}
    check_loss(whole, skip=["config"])


def test_a_check_can_be_left_out():
    check_loss(BROKEN["config"], skip=["config"])
    with pytest.raises(ValueError, match="`skip` must name checks"):
        check_loss(TripletLoss(), skip=["gradients"])


def test_a_call_of_another_form():
    def call(loss, labels, embeddings):
        return keras.ops.mean(loss.call(labels, embeddings))

    check_loss(TripletLoss(margin=0.3), call=call)
