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
    check_slopes(distance, query)


@pytest.mark.parametrize("few", [0, 2**18])
def test_cosines_and_distances_of_rows_to_each_other(few, monkeypatch):
    from keras_similarity import torch_functions
    from keras_similarity.distances import CosineDistance, CosineSimilarity, LpDistance

    monkeypatch.setattr(torch_functions, "_FEW", few)
    rows = floats(5, 4)
    copy = rows.detach().clone().requires_grad_()
    weights = floats(5, 5, seed=1).detach()
    for distance in (CosineSimilarity(), CosineDistance(), LpDistance(power=2)):
        among, between = distance(rows), distance(rows, copy)
        np.testing.assert_allclose(*(x.detach().numpy() for x in (among, between)))
        rows.grad = copy.grad = None
        (between * weights).sum().backward()
        expected = rows.grad + copy.grad
        rows.grad = None
        (among * weights).sum().backward()
        np.testing.assert_allclose(rows.grad.numpy(), expected.numpy(), rtol=1e-9)
        check_slopes(lambda rows: distance(rows)[~np.eye(5, dtype=bool)], rows)  # noqa: B023


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
    of_rows = torch.func.vmap(lambda row, mask: MaskedLogSumExp.apply(row, mask)[0])
    torch.testing.assert_close(
        of_rows(values[:, None], mask[:, None])[:, 0], found(values)
    )


def test_the_slope_of_a_maximum_is_shared():
    import torch

    from keras_similarity.torch_functions import AmaxLast

    values = floats(3, 4, 3)
    torch.testing.assert_close(AmaxLast.apply(values), values.amax(-1))
    check_slopes(AmaxLast.apply, values)
    equal = torch.ones(2, 4, requires_grad=True)
    AmaxLast.apply(equal).sum().backward()
    assert equal.grad.tolist() == [[0.25] * 4] * 2


def test_rows_of_length_1():
    import torch

    from keras_similarity.backend import ops
    from keras_similarity.distances.normalize import unit_and_presence

    rows = floats(3, 2, 4)
    units, is_present = unit_and_presence(rows, ops)
    torch.testing.assert_close(units, rows / rows.norm(dim=-1, keepdim=True))
    assert is_present.tolist() == [[[1.0]] * 2] * 3
    check_slopes(lambda rows: unit_and_presence(rows, ops)[0], rows)

    def total(rows):
        return (unit_and_presence(rows, ops)[0] ** 3).sum()

    of_each = torch.func.vmap(torch.func.grad(total))(rows)
    total(rows).backward()
    torch.testing.assert_close(of_each, rows.grad)


def test_a_row_of_no_length_is_0():
    import torch

    from keras_similarity.backend import ops
    from keras_similarity.distances.normalize import unit_and_presence

    rows = torch.tensor([[0.0, 0.0], [1e-13, 0.0], [3e24, 4e24]], requires_grad=True)
    units, is_present = unit_and_presence(rows, ops)
    units.sum().backward()
    assert is_present.tolist() == [[0.0], [0.0], [1.0]]
    torch.testing.assert_close(units, torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.6, 0.8]]))
    assert rows.grad[:2].tolist() == [[0.0, 0.0]] * 2
    assert torch.isfinite(rows.grad).all()
