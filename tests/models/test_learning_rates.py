"""The variables of a loss learn at a multiple of the model's learning rate."""

import keras
import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.losses import ArcFaceLoss, CosFaceLoss
from tests.backend import variable_gradients
from tests.models.test_loss_heads import X, Y, make_loss, make_model, train, value

OPTIMIZERS = {
    "sgd, momentum, decay": lambda rate: keras.optimizers.SGD(
        rate, momentum=0.9, nesterov=True, weight_decay=0.1
    ),
    "adam, clipped": lambda rate: keras.optimizers.Adam(rate, clipnorm=0.5),
    "nadam": lambda rate: keras.optimizers.Nadam(rate),
    "adafactor": lambda rate: keras.optimizers.Adafactor(rate),
    "schedule": lambda rate: keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(rate, 1, 0.5)
    ),
}


def by_two_optimizers(model, loss, make_optimizer, multiplier, steps):
    """What the weights become where the loss's have an optimizer of their own."""
    own = [variable for variable in model.trainable_variables if variable is not loss.W]
    parts = [(own, make_optimizer(0.01)), ([loss.W], make_optimizer(0.01 * multiplier))]
    for _ in range(steps):
        slopes = variable_gradients(lambda: loss(Y, model(X)), [*own, loss.W])
        slopes = [ops.convert_to_tensor(slope) for slope in slopes]
        for variables, optimizer in parts:
            optimizer.apply(slopes[: len(variables)], variables)
            slopes = slopes[len(variables) :]
    return [value(variable) for variable in [*own, loss.W]]


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_it_is_as_if_the_loss_had_an_optimizer_of_its_own(make_optimizer):
    # Keras' Nadam forgets its state on JAX from one step to the next.
    steps = 1 if make_optimizer is OPTIMIZERS["nadam"] else 3
    model, loss = make_model(), make_loss()
    model.compile(loss=loss)
    start = model.get_weights()
    expected = by_two_optimizers(model, loss, make_optimizer, 7.0, steps)

    copy, copy_loss = make_model(), make_loss(learning_rate_multiplier=7.0)
    copy.compile(make_optimizer(0.01), loss=copy_loss)
    copy.set_weights(start)
    train(copy, epochs=steps)
    for variable, wanted in zip(copy.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(value(variable), wanted, rtol=2e-5, atol=2e-6)


def movement(model, loss):
    before = value(loss.W)
    train(model)
    return value(loss.W) - before


def test_it_holds_inside_of_optimizers_that_wrap_others():
    moves = []
    for multiplier in (1.0, 5.0):
        keras.utils.set_random_seed(0)
        loss = make_loss(learning_rate_multiplier=multiplier)
        model = make_model()
        inner = keras.optimizers.SGD(0.01)
        model.compile(keras.optimizers.LossScaleOptimizer(inner, 2.0), loss=loss)
        moves.append(movement(model, loss))
    np.testing.assert_allclose(moves[1], 5.0 * moves[0], rtol=1e-4, atol=1e-6)


def test_it_survives_another_optimizer_and_ends_with_the_loss():
    model, loss = make_model(), make_loss(learning_rate_multiplier=0.0)
    model.compile("adam", loss=loss)
    assert not movement(model, loss).any()
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, loss=loss)
    assert not movement(model, loss).any()
    other = make_loss(CosFaceLoss)
    model.compile(keras.optimizers.SGD(0.1), loss=other)
    assert movement(model, other).any()


def test_an_optimizer_is_left_alone_at_1_and_given_back_afterwards():
    model, optimizer = make_model(), keras.optimizers.SGD(0.1)
    before = dict(optimizer.__dict__)
    model.compile(optimizer, loss=make_loss())
    assert optimizer.__dict__ == before
    model.compile(optimizer, loss=make_loss(learning_rate_multiplier=2.0))
    assert "update_step" in optimizer.__dict__
    model.compile(optimizer, loss=make_loss())
    assert optimizer.__dict__ == before


@pytest.mark.parametrize("multiplier", [-1.0, float("inf"), float("nan")])
def test_a_multiplier_out_of_range_is_refused(multiplier):
    with pytest.raises(ValueError, match="`learning_rate_multiplier` must be"):
        ArcFaceLoss(4, 5, learning_rate_multiplier=multiplier)
