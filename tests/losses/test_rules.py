"""Every loss keeps the rules of `check_loss`."""

import pytest

from keras_similarity.backend import keras, ops
from keras_similarity.distances.base import as_floats
from keras_similarity.losses import CircleLoss
from keras_similarity.testing import check_loss
from keras_similarity.testing.faults import CHECKS
from tests.losses import every

# Rules that a loss means to break.
BROKEN_ON_PURPOSE = {
    # Pairs up the first two rows of each class, as its peer does.
    "NPairsLoss": ["permutation", "keys"],
    # Compares with what it remembers, which has no gradient and narrow labels.
    "CrossBatchMemory": ["gradient", "labels"],
    "XBM": ["gradient", "labels"],
}


def call_with_views(loss, labels, embeddings):
    """The second view moves with the first, so that rows can change places."""
    embeddings = as_floats(embeddings, ops)
    other = 0.7 * embeddings + 0.3 * ops.flip(embeddings, axis=1)
    return loss(embeddings, other)


@pytest.mark.parametrize("name", every.names())
def test_a_loss_keeps_the_rules(name):
    loss = every.make(name)
    call = call_with_views if every.takes_two_views(loss) else None
    check_loss(loss, call=call, skip=BROKEN_ON_PURPOSE.get(name, ()))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", every.names())
def test_a_policy_does_not_lower_the_precision(name, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        loss = every.make(name)
        call = call_with_views if every.takes_two_views(loss) else None
        check_loss(loss, call=call, skip=set(CHECKS) - {"precision", "config"})
    finally:
        keras.config.set_dtype_policy(before)


def test_the_other_formula_of_circle_loss_keeps_them_too():
    # No gradient flows through its weights: the paper's, and its peer's, intention.
    check_loss(CircleLoss(gamma=8, formula="paper"), skip=["gradient"])
