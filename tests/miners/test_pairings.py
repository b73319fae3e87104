"""Any miner goes with any loss: the loss is that of the pairs which the miner chose."""

import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import framework
from keras_similarity.miners import Miner
from tests.losses import every
from tests.miners.test_miners import MINERS, make

LABELS = np.array([0, 0, 1, 1, 0, 2, 3, 3, 1], "int32")
EMBEDDINGS = np.random.default_rng(8).normal(size=(9, 6)).astype("float32")
# Losses of two views and those that join others take none; a memory has its own tests.
REFUSING = {"ManifoldLoss", "PNPLoss", "MultipleLosses", "XBM"}
LOSSES = [
    name
    for name in every.names()
    if not every.takes_two_views(every.make(name))
    and name not in REFUSING | {"CrossBatchMemory"}
]
PAIRINGS = [(loss, miner) for loss in LOSSES for miner in MINERS]
if framework() == "jax":  # It compiles each operation when it first meets it.
    PAIRINGS = PAIRINGS[::31]


class Recorded(Miner):
    """Chooses as another miner, and remembers what."""

    def __init__(self, miner):
        super().__init__(miner.distance)
        self.miner = miner

    def mine_batch(self, batch):
        self.chosen = self.miner.mine_batch(batch)
        return self.chosen

    @property
    def seed_generator(self):
        return self.miner.seed_generator


@pytest.mark.parametrize(("name", "miner_name"), PAIRINGS)
def test_a_loss_is_that_of_the_chosen_pairs(name, miner_name):
    loss = every.make(name)
    loss.miner = Recorded(make(miner_name))
    actual = float(loss(LABELS, EMBEDDINGS))
    chosen, loss.miner = loss.miner.chosen, None
    expected = float(loss(LABELS, EMBEDDINGS, pairs=chosen))
    assert np.isfinite(actual)
    assert actual == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", sorted(REFUSING))
def test_losses_without_pairs_of_their_own_refuse_a_miner(name):
    arguments = every.ARGUMENTS.get(name, {})
    with pytest.raises((TypeError, ValueError), match="`miner` must"):
        getattr(losses, name)(**arguments, miner=make("BatchHardMiner"))
