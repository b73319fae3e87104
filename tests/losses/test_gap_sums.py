"""Numbers and sums of gaps beyond edges, against all triplets one by one."""

import numpy as np
import pytest

from keras_similarity.backend import framework, ops, vector_jacobian_product
from keras_similarity.losses.gap_sums import gap_sums

EDGES = [-np.inf, -0.5, 0.0, 0.25]


def reference(cost, positive, negative, weights):
    counts, sums, slopes = np.zeros(4), np.zeros(4), np.zeros_like(cost)
    for anchor, first in np.argwhere(positive):
        for second in np.flatnonzero(negative[anchor]):
            gap = cost[anchor, first] - cost[anchor, second]
            for edge, bound in enumerate(EDGES):
                if gap >= bound:
                    counts[edge] += 1
                    sums[edge] += gap
                    slopes[anchor, first] += weights[edge]
                    slopes[anchor, second] -= weights[edge]
    return counts, sums, slopes


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_against_all_triplets(share):
    generator = np.random.default_rng(0)
    # Quarters: many gaps are equal, and some lie upon an edge.
    cost = generator.integers(0, 8, (9, 12)).astype("float32") / 4
    positive = generator.random(cost.shape) < share
    negative = ~positive & (generator.random(cost.shape) < 0.7)
    positive[0], negative[0] = True, False
    positive[1], negative[1] = False, True
    weights = np.array([0.5, -1.0, 2.0, 3.0], "float32")
    expected = reference(cost, positive, negative, weights)
    masks = [ops.convert_to_tensor(mask) for mask in (positive, negative)]

    def sums(cost):
        return gap_sums(cost, *masks, EDGES)[1]

    def found(cost):
        (slopes,) = vector_jacobian_product(sums, [cost], ops.convert_to_tensor(weights))
        return (*gap_sums(cost, *masks, EDGES), slopes)

    for function in (found, compiled(found)):
        for got, wanted in zip(
            function(ops.convert_to_tensor(cost)), expected, strict=True
        ):
            np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, atol=1e-3)


def compiled(function):
    if framework() == "jax":
        import jax

        return jax.jit(function)
    return function
