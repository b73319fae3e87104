"""The functions that go straight to torch, against those of Keras."""

import numpy as np
import pytest

from keras_similarity.backend import framework, keras, ops

pytestmark = pytest.mark.skipif(framework() != "torch", reason="They are torch's.")

MATRIX = np.array([[0.5, -2.0, 0.0], [3.0, 1e-3, -0.25]])
INTEGERS = np.array([[2, 0, 1], [1, 1, 2]], "int32")
MASK = np.array([[True, False, True], [False, False, True]])
EACH = ("abs", "exp", "relu", "sigmoid", "sign", "softplus", "square", "zeros_like")
POSITIVE = ("log", "rsqrt", "sqrt")
REDUCTIONS = ("amax", "amin", "logsumexp", "mean", "sum")


def tensor(array, dtype=None):
    return keras.ops.convert_to_tensor(array, dtype=dtype)


def assert_same(name, *args, **kwargs):
    """The same values and dtype as Keras' function of that name; float64 stays."""
    found = getattr(ops, name)(*args, **kwargs)
    expected = getattr(keras.ops, name)(*args, **kwargs)
    lowered = "float64" in str(found.dtype) and "float32" in str(expected.dtype)
    assert found.dtype == expected.dtype or lowered
    np.testing.assert_allclose(
        found.detach().numpy(), expected.detach().numpy(), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", EACH + POSITIVE)
def test_elementwise(name, dtype):
    array = np.abs(MATRIX) + 1 if name in POSITIVE else MATRIX
    assert_same(name, tensor(array, dtype))


@pytest.mark.parametrize("name", ["abs", "exp", "relu", "square", "sqrt"])
def test_elementwise_of_integers(name):
    assert_same(name, tensor(INTEGERS))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums(dtype, axis, keepdims):
    assert_same("sum", tensor(MATRIX > 0, dtype), axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [None, 1, (0, 1)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, axis, dtype):
    assert_same(name, tensor(MATRIX, dtype), axis=axis)
    if axis == 1:
        assert_same(name, tensor(MATRIX, dtype), axis=axis, keepdims=True)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name):
    assert_same(name, tensor(MATRIX, "float32"))
    assert_same(name, tensor(MATRIX, "float64"), axis=0)
    assert_same(name, tensor(MATRIX, "float32"), axis=None)


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float16", "float64"])
def test_casts(dtype):
    assert_same("cast", tensor(MATRIX, "float32"), dtype)
    assert_same("cast", tensor(MASK), dtype)
    assert_same("zeros_like", tensor(INTEGERS), dtype=dtype)
    assert_same("convert_to_tensor", tensor(MATRIX, "float32"), dtype=dtype)
    assert_same("convert_to_tensor", MATRIX, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_choices(dtype):
    mask, x = tensor(MASK), tensor(MATRIX, dtype)
    for pair in ((x, 0.0), (0.0, x), (x, 2 * x), (x, 1), (1.0, 0.0), (x, tensor(2))):
        assert_same("where", mask, *pair)
    assert_same("where", tensor(INTEGERS), x, 0.0)
    assert_same("minimum", x, 2 * x)
    assert_same("maximum", x, 0.0)
    assert_same("clip", x, 0.0, 1.0)
    assert_same("clip", x, 0, 1)
    assert_same("divide_no_nan", x, x)
    assert_same("divide_no_nan", x, tensor(INTEGERS))
    assert_same("any", mask, axis=1, keepdims=True)
    assert_same("any", mask)


def test_a_quotient_by_zero_has_slope_0():
    x = tensor([1.0, 2.0]).requires_grad_()
    zero = tensor([0.0, 2.0]).requires_grad_()
    ops.divide_no_nan(x, zero).sum().backward()
    assert x.grad.tolist() == [0.0, 0.5]
    assert zero.grad.tolist() == [0.0, -0.5]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rearrangements(dtype):
    x, integers = tensor(MATRIX, dtype), tensor(INTEGERS)
    assert ops.shape(x) == (2, 3)
    assert_same("reshape", x, (-1,))
    assert_same("transpose", x)
    assert_same("transpose", x[None], axes=(2, 0, 1))
    assert_same("concatenate", [x, x], axis=1)
    assert_same("concatenate", [x, integers])
    assert_same("cumsum", x, axis=1)
    assert_same("cumsum", integers)
    assert_same("take", x, integers[0], axis=1)
    assert_same("take", x, tensor([[0, 1], [1, 1]]), axis=0)
    assert_same("take", x, integers)
    assert_same("take_along_axis", x, integers, axis=1)
    assert_same("take_along_axis", x[None], tensor([[[1, 0, 1]]]), axis=1)
    assert_same("stop_gradient", x)


def test_sums_of_segments():
    x = tensor(MATRIX, "float32")
    assert_same("segment_sum", x, tensor([2, 0]), num_segments=4)
    assert_same("segment_sum", x[0], tensor([1, 1, 0], "int32"), num_segments=2)
    assert_same("segment_sum", x[0], tensor([1, 1, 0], "int32"))
    wide = ops.segment_sum(tensor([1.0, 1e-12], "float64"), tensor([0, 0]), 1)
    assert wide.item() == 1.0 + 1e-12  # Keras sums in float32.


def test_what_is_no_tensor_is_taken_as_keras_takes_it():
    assert_same("sum", [[1.0, 2.0]], axis=1)
    assert_same("exp", np.zeros(3, "float32"))
    assert_same("where", [True, False], 1.0, 2.0)
    assert_same("take", [1.0, 2.0], [1], axis=0)
    assert not ops.stop_gradient(tensor([1.0]).requires_grad_()).requires_grad
