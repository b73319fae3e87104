"""What reaches an index as embeddings and labels, and what is refused."""

import numpy as np
import pytest

from keras_similarity.arrays import check_embeddings, check_labels, to_numpy

pytestmark = pytest.mark.keras_free


class FakeTorchTensor:
    """Answers as a torch tensor that needs a gradient and lives on a device."""

    def __init__(self, values, dtype="torch.float32", steps=()):
        self.values, self.dtype, self.steps = values, dtype, steps

    def detach(self):
        return FakeTorchTensor(self.values, self.dtype, (*self.steps, "detach"))

    def cpu(self):
        return FakeTorchTensor(self.values, self.dtype, (*self.steps, "cpu"))

    def float(self):
        return FakeTorchTensor(self.values, "torch.float32", self.steps)

    def __array__(self, dtype=None, copy=None):
        if self.steps != ("detach", "cpu") or self.dtype == "torch.bfloat16":
            raise TypeError("cannot become a NumPy array")
        return np.array(self.values, dtype)


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_a_tensor_is_detached_and_fetched(dtype):
    np.testing.assert_array_equal(to_numpy(FakeTorchTensor([1.0, 2.0], dtype)), [1, 2])


def test_arrays_and_lists_keep_their_values_and_dtypes():
    array = np.arange(3, dtype="int16")
    assert to_numpy(array) is array
    assert to_numpy([1.5, 2.5]).dtype == np.float64


# ---------------------------------------------------------------------- embeddings


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "bool"]
)
def test_embeddings_become_contiguous_float32(dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype).T  # Not contiguous.
    checked = check_embeddings(array)
    assert checked.dtype == np.float32
    assert checked.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(checked, array.astype("float32"))


def test_no_rows_are_embeddings_too():
    assert check_embeddings(np.zeros((0, 4)), dim=4).shape == (0, 4)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2)])
def test_embeddings_of_another_rank_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"`x` must have the shape \[rows, embedding size"
    ):
        check_embeddings(np.zeros(shape), name="x")


def test_embeddings_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"`y` must have 4 columns.*y\.shape=\(2, 3\)"):
        check_embeddings(np.zeros((2, 3)), name="y", dim=4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_in_float32_are_refused_by_row(bad):
    array = np.zeros((5, 2))
    array[3, 1] = bad
    with pytest.raises(ValueError, match=r"`embeddings` must be finite.*first in row 3"):
        check_embeddings(array)


@pytest.mark.parametrize("values", [[["a", "b"]], [[1j, 2.0]], [[None, 1.0]]])
def test_embeddings_that_are_no_numbers_are_refused(values):
    with pytest.raises(TypeError, match=r"`embeddings` must hold real numbers.*dtype="):
        check_embeddings(values)


# -------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels",
    [[1, 2, -3], np.array([[1], [2], [-3]]), np.array([1.0, 2.0, -3.0]), (1, 2, -3)],
    ids=["list", "column", "floats", "tuple"],
)
def test_labels_become_int64(labels):
    checked = check_labels(labels, rows=3)
    assert checked.dtype == np.int64
    np.testing.assert_array_equal(checked, [1, 2, -3])


@pytest.mark.parametrize("label", [2**24 + 1, 2**53 + 1, 2**63 - 1, 1 - 2**63])
def test_large_ids_keep_their_value(label):
    assert check_labels(np.array([label])).tolist() == [label]


def test_unsigned_ids_that_fit_are_taken():
    assert check_labels(np.array([2**63 - 1], "uint64")).tolist() == [2**63 - 1]


def test_unsigned_ids_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"must fit into int64.*to 9223372036854775808"):
        check_labels(np.array([2**63], "uint64"))


@pytest.mark.parametrize("labels", [[], np.zeros((0,)), np.zeros((0, 1))])
def test_no_labels_are_labels_too(labels):
    checked = check_labels(labels, rows=0)
    assert checked.shape == (0,)
    assert checked.dtype == np.int64


@pytest.mark.parametrize("labels", [[0.5, 1.0], [np.nan, 1.0], ["cat", "dog"], [None, 1]])
def test_labels_that_are_no_integers_are_refused(labels):
    with pytest.raises(TypeError, match="`y` must be integers"):
        check_labels(labels, name="y")


@pytest.mark.parametrize("bad", [np.inf, 1e19, -1e19, 2.0**63])
def test_floats_that_int64_cannot_hold_are_refused(bad):
    with pytest.raises((TypeError, ValueError), match="`labels` must"):
        check_labels(np.array([bad, 1.0]))


@pytest.mark.parametrize("shape", [(), (2, 2), (2, 1, 1)])
def test_labels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"`labels` must have the shape \[rows\]"):
        check_labels(np.zeros(shape, int))


def test_another_number_of_labels_is_refused():
    with pytest.raises(ValueError, match=r"one label a row, 3 of them\. Received: 2"):
        check_labels([1, 2], rows=3)
