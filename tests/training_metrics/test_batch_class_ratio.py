import keras
import numpy as np
import pytest

from keras_similarity.samplers import MultiShotMemorySampler
from keras_similarity.training_metrics import batch_class_ratio


class Batches(keras.utils.PyDataset):
    labels = ([0, 0, 1, 1], [0, 1, 2, 3], [5, 5, 5, 5])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return np.zeros(4), np.array(self.labels[index])


@pytest.mark.parametrize(("number", "expected"), [(1, 2.0), (2, 1.5), (9, 7 / 3)])
def test_it_is_the_mean_over_as_many_batches_as_there_are(number, expected):
    assert batch_class_ratio(Batches(), number) == pytest.approx(expected)
    pairs = ((None, labels) for labels in Batches.labels)
    assert batch_class_ratio(pairs, number) == pytest.approx(expected)


def test_a_sampler_stays_as_it_was():
    def make():
        x = np.arange(40.0)[:, None]
        return MultiShotMemorySampler(
            x, np.arange(40) % 10, classes_per_batch=4, steps_per_epoch=5, seed=0
        )

    sampler, other = make(), make()
    assert batch_class_ratio(sampler, 3) == 2.0
    np.testing.assert_array_equal(sampler[0][0], other[0][0])


def test_no_batches_are_told():
    with pytest.raises(ValueError, match="`sampler` must hold at least one batch"):
        batch_class_ratio([])
    with pytest.raises(ValueError, match="`num_batches` must be at least 1"):
        batch_class_ratio(Batches(), 0)
