"""The functions that go straight to torch, against those of Keras."""

import numpy as np
import pytest

from keras_similarity.backend import framework, keras, ops

if framework() != "torch":
    pytest.skip("They are torch's.", allow_module_level=True)
import torch

MATRIX = np.array([[0.5, -2.0, 0.0], [3.0, 1e-3, -0.25]])
INTEGERS = np.array([[2, 0, 1], [1, 1, 2]], "int32")
MASK = np.array([[True, False, True], [False, False, True]])
EACH = (
    "abs",
    "exp",
    "floor",
    "relu",
    "sigmoid",
    "sign",
    "softplus",
    "square",
    "zeros_like",
)
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
    found, expected = (each.detach().double().numpy() for each in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
    assert_same("where", mask, tensor(INTEGERS), 3)
    assert_same("where", mask, tensor(INTEGERS), 0.5)
    assert_same("where", mask, tensor(INTEGERS), tensor(INTEGERS))
    assert_same("where", mask, tensor(INTEGERS), x)
    assert_same("minimum", x, 2 * x)
    assert_same("minimum", tensor(INTEGERS), 1)
    assert_same("minimum", tensor(INTEGERS), 0.5)
    assert_same("maximum", x, 0.0)
    assert_same("clip", x, 0.0, 1.0)
    assert_same("clip", x, 0, 1)
    assert_same("divide_no_nan", x, x)
    assert_same("divide_no_nan", x, tensor(INTEGERS))
    assert_same("any", mask, axis=1, keepdims=True)
    assert_same("any", mask)
    assert_same("any", tensor(INTEGERS, "uint8"), axis=1)


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
    assert_same("take", x, integers, axis=1)
    assert_same("take", x, integers[:, :2], axis=-1)
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


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_sums_of_segments_of_other_dtypes_are_those_of_keras(dtype):
    assert_same("segment_sum", tensor([1, 2, 3], dtype), tensor([1, 0, 1]), 3)


@pytest.mark.parametrize("axis", [(), []])
@pytest.mark.parametrize("name", ["amax", "amin", "mean", "sum"])
def test_over_no_axis_nothing_is_reduced(name, axis):
    assert_same(name, tensor(MATRIX, "float32"), axis=axis)


def test_a_range_is_on_the_device_that_keras_is_told():
    assert ops.arange(3, dtype="int32").device.type == "cpu"
    with keras.device("meta"):
        assert ops.arange(3, dtype="int32").is_meta


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted({*EACH, *POSITIVE} - {"sign", "zeros_like"}))
def test_gradients_of_elementwise_functions(name, dtype):
    assert_same_gradient(name, np.abs(MATRIX) if name in POSITIVE else MATRIX, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("name", [*REDUCTIONS, "softmax", "log_softmax"])
def test_gradients_of_reductions(name, axis, dtype):
    assert_same_gradient(name, MATRIX, dtype, axis=axis)
    assert_same_gradient(name, np.ones((2, 3)), dtype, axis=axis)  # All are extreme.


def assert_same_gradient(name, array, dtype, **kwargs):
    """The same gradient as Keras' function, infinities and NaN included."""
    slopes = []
    for namespace in (ops, keras.ops):
        x = tensor(array, dtype).requires_grad_()
        values = getattr(namespace, name)(x, **kwargs)
        factors = torch.arange(1.0, values.numel() + 1).reshape(values.shape)
        (values * factors).sum().backward()
        slopes.append(x.grad)
    assert slopes[0].dtype == slopes[1].dtype
    np.testing.assert_allclose(*(slope.numpy() for slope in slopes), rtol=1e-6)


def test_they_compile_to_one_graph():
    def value(x, mask):
        rows = ops.arange(ops.shape(x)[0], dtype="int32")
        x = ops.where(mask, ops.abs(x), ops.square(x)) + ops.zeros_like(x)
        x = ops.concatenate([x, ops.softplus(x)], axis=1) + ops.amax(x)
        x = ops.maximum(ops.sigmoid(x), ops.minimum(x, ops.relu(x)))
        logs = ops.logsumexp(x, axis=1, keepdims=True) - ops.log_softmax(x, axis=1)
        x = ops.sqrt(ops.clip(logs, 0.0, 9.0)) * ops.cumsum(ops.softmax(x), axis=1)
        picked = ops.take(x, rows, axis=0) + ops.amin(x, axis=1, keepdims=True)
        sums = ops.segment_sum(picked, rows, num_segments=2)
        has_any = ops.cast(ops.any(mask, axis=1, keepdims=True), x.dtype)
        parts = ops.divide_no_nan(sums, ops.exp(ops.stop_gradient(x)))
        return ops.sum(ops.mean(parts * has_any, axis=0) * ops.rsqrt(1.0 + x[0]))

    found = []
    for function in (value, torch.compile(value, backend="eager", fullgraph=True)):
        x = tensor(MATRIX, "float32").requires_grad_()
        scalar = function(x, tensor(MASK))
        scalar.backward()
        found.append((scalar.item(), *x.grad.numpy().ravel()))
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_what_is_no_tensor_is_taken_as_keras_takes_it():
    assert_same("sum", [[1.0, 2.0]], axis=1)
    assert_same("exp", np.zeros(3, "float32"))
    assert_same("where", [True, False], 1.0, 2.0)
    assert_same("take", [1.0, 2.0], [1], axis=0)
    assert not ops.stop_gradient(tensor([1.0]).requires_grad_()).requires_grad


def test_moved_axes_stacks_places_and_largest():
    assert_same("swapaxes", tensor(MATRIX), -1, -2)
    assert_same("stack", [tensor(MATRIX, "float32"), tensor(MATRIX, "float32")], axis=1)
    assert_same("any", tensor(MASK))
    assert_same("nonzero", tensor(MASK))
    assert_same("argmax", tensor(INTEGERS), axis=1)
    assert_same("argmax", tensor(MASK), axis=1)
    assert_same("amax", tensor(INTEGERS), axis=1)
    assert_same("amin", tensor(INTEGERS))
    for found, expected in zip(
        ops.top_k(tensor(MATRIX), 2), keras.ops.top_k(tensor(MATRIX), 2), strict=True
    ):
        assert torch.equal(found, expected)
