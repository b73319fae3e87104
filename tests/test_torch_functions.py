"""Functions of large arrays on torch: values, slopes, and slopes of slopes."""

import numpy as np
import pytest

from keras_similarity.backend import framework

pytestmark = pytest.mark.skipif(framework() != "torch", reason="Of torch alone.")


def floats(*shape, seed=0):
    import torch

    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return values.requires_grad_()


def check_slopes(function, *inputs):
    import torch

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("power", [1, 2])
def test_distances_of_unit_rows(power):
    from keras_similarity.distances import LpDistance

    query, key = floats(5, 4), floats(6, 4, seed=1)
    units = [x.detach().numpy() for x in (query, key)]
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in units]
    expected = np.linalg.norm(units[0][:, None] - units[1][None], axis=2) ** power
    distance = LpDistance(power=power)
    np.testing.assert_allclose(distance(query, key).detach().numpy(), expected, rtol=1e-9)
    check_slopes(distance, query, key)


def test_log_sum_exp_of_those_allowed():
    import torch

    from keras_similarity.torch_functions import MaskedLogSumExp

    values = floats(4, 6)
    mask = torch.tensor(np.random.default_rng(0).random((4, 6)) < 0.5)
    mask[1], mask[2] = False, True

    def found(values):
        return MaskedLogSumExp.apply(values, mask)[0]

    allowed = values.detach().masked_fill(~mask, -float("inf"))
    assert torch.equal(found(values).isinf()[:, 0], ~mask.any(1))
    torch.testing.assert_close(found(values)[:, 0], torch.logsumexp(allowed, 1))
    check_slopes(lambda values: torch.nan_to_num(found(values), neginf=0.0), values)


def test_the_slope_of_a_maximum_is_shared():
    import torch

    from keras_similarity.torch_functions import AmaxLast

    values = floats(3, 4, 3)
    torch.testing.assert_close(AmaxLast.apply(values), values.amax(-1))
    check_slopes(AmaxLast.apply, values)
    equal = torch.ones(2, 4, requires_grad=True)
    AmaxLast.apply(equal).sum().backward()
    assert equal.grad.tolist() == [[0.25] * 4] * 2
