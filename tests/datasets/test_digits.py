import numpy as np
import pytest
import sklearn.datasets

from keras_similarity.datasets import load_digits

pytestmark = pytest.mark.keras_free


@pytest.mark.parametrize("unseen", [(7, 8, 9), (0,)])
def test_unseen_digits_are_for_testing_and_no_others(unseen):
    dataset = load_digits(unseen)
    assert tuple(dataset.test_classes) == unseen
    assert set(dataset.train_classes) == set(range(10)) - set(unseen)
    source = sklearn.datasets.load_digits()
    is_test = np.isin(source.target, unseen)
    np.testing.assert_array_equal(dataset.y_train, source.target[~is_test])
    np.testing.assert_allclose(
        dataset.x_test[..., 0], source.images[is_test] / 16, atol=0.002
    )
    assert dataset.x_train.shape[1:] == dataset.preprocessing.shape == (8, 8, 1)
    assert dataset.class_names[dataset.y_test[0]] == str(dataset.y_test[0])


@pytest.mark.parametrize("unseen", [(), (10,), range(10)])
def test_unseen_must_be_some_of_the_digits(unseen):
    with pytest.raises(ValueError, match="`unseen` must be some of the classes 0 to 9"):
        load_digits(unseen)
