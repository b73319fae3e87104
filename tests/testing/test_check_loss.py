"""Every loss keeps the rules, and a broken one is named by its fault."""

import keras
import pytest

from keras_similarity.losses import TripletLoss
from keras_similarity.testing import check_loss, find_faults
from keras_similarity.testing.faults import CHECKS
from tests.testing.broken import BROKEN, Margin


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_loss_is_named_by_its_fault(fault):
    name = fault.partition(",")[0]
    found = find_faults(BROKEN[fault])
    assert name in found, found
    assert all(sentence.strip() for sentence in found[name])


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
