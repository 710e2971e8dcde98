"""Dropout acts in training only, and the epoch's seed decides its masks."""

import numpy as np
import pytest

from shared.data.batches import EpochBatches
from shared.network.description import Network
from shared.network.layers import Dense, Dropout, Flatten
from shared.network.optimizers import Sgd
from tests.backend import reference
from tests.backend.random_examples import random_split, random_weights

NETWORK = Network(
    input_shape=(4, 3, 1),
    layers=(
        *(Flatten(), Dense(units=40, activation="tanh"), Dropout(rate=0.5)),
        *(Dense(units=40, activation="tanh"), Dropout(rate=0.5), Dense(units=3)),
    ),
)
RATE_0 = Network(
    input_shape=(4, 3, 1),
    layers=[Dropout(rate=0) if isinstance(layer, Dropout) else layer for layer in NETWORK.layers],
)
DATA = random_split(NETWORK, 20, seed=2)
ORDER = np.arange(20)


def weights_after(backend, network, *seeds):
    """Return the bytes of the weights after one epoch for each seed."""
    model = backend.define_network(network, random_weights(network, seed=1))
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    epochs = [EpochBatches(ORDER, seed=seed) for seed in seeds]
    list(backend.train(model, optimizer, backend.define_loss(), DATA, 8, epochs))
    return b"".join(array.tobytes() for array in backend.save(model).values())


def test_the_seed_of_an_epoch_decides_the_masks(backend):
    assert weights_after(backend, NETWORK, 3) == weights_after(backend, NETWORK, 3)
    assert (
        len({weights_after(backend, NETWORK, seed) for seed in (3, 4, 2**31 + 5)} | {weights_after(backend, RATE_0, 3)})
        == 4
    )


def test_an_epoch_has_the_same_masks_whether_it_is_the_first_or_a_later_one(backend):
    # The learning rate is too small to change a weight, so the loss of an epoch depends on its masks only.
    model = backend.define_network(NETWORK, random_weights(NETWORK, seed=1))
    optimizer = backend.define_optimizer(Sgd(learning_rate=1e-30), model)
    epochs = [EpochBatches(ORDER, seed=seed) for seed in (5, 6, 5)]
    losses = [loss for loss, _ in backend.train(model, optimizer, backend.define_loss(), DATA, 8, epochs)]
    assert losses[0] == losses[2] != losses[1]


def test_a_value_is_0_or_divided_by_1_minus_rate_and_no_two_layers_or_steps_share_a_mask(backend):
    model, loss = backend.define_network(NETWORK, random_weights(NETWORK, seed=1), "float64"), backend.define_loss()
    optimizer = backend.define_optimizer(Sgd(learning_rate=1e-30), model)
    list(backend.train(model, optimizer, loss, DATA, 20, [EpochBatches(ORDER, seed=3)]))
    masks = []
    for step in backend.trace(model, optimizer, loss, [random_split(NETWORK, 50, seed=2)] * 8):
        for index in (2, 4):
            kept = step.outputs[index] != 0
            # The share of 2,000 values has a standard deviation of 0.011. The limits are nine of them away.
            assert 0.4 < kept.mean() < 0.6
            np.testing.assert_allclose(step.outputs[index][kept], 2 * step.outputs[index - 1][kept], rtol=1e-12)
            masks.append(kept)
    assert len({mask.tobytes() for mask in masks}) == len(masks)


def test_gradients_are_0_where_values_were_dropped(backend):
    weights = random_weights(NETWORK, seed=1)
    model = backend.define_network(NETWORK, weights, "float64")
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    batch = random_split(NETWORK, 7, seed=2)
    [step] = backend.trace(model, optimizer, backend.define_loss(), [batch])
    outputs = [batch.images / 255, *step.outputs]
    masks = {f"layers.{index}": 2.0 * (outputs[index + 1] != 0) for index in (2, 4)}
    expected = reference.gradients(NETWORK, reference.to_float64(weights), outputs, batch.labels, masks)
    for name, slope in expected.items():
        np.testing.assert_allclose(step.gradients[name], slope, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("network", [NETWORK, RATE_0], ids=["rate 0.5", "rate 0"])
def test_evaluating_and_serving_drop_nothing_even_between_epochs(backend, network):
    model, loss = backend.define_network(network, random_weights(network, seed=1)), backend.define_loss()
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    for _ in backend.train(model, optimizer, loss, DATA, 8, [EpochBatches(ORDER, seed=3), EpochBatches(ORDER, seed=4)]):
        _, accuracy, expected = reference.evaluate(network, reference.to_float64(backend.save(model)), DATA)
        result = backend.evaluate(model, loss, DATA)
        assert result.accuracy == accuracy
        # A few rounding errors of float32, see test_forward.py.
        for found in (result.probabilities, backend.serve(model)(DATA.images)):
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_training_with_rate_0_agrees_with_the_reference(backend):
    weights = random_weights(RATE_0, seed=1)
    model = backend.define_network(RATE_0, weights)
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    list(backend.train(model, optimizer, backend.define_loss(), DATA, 8, [EpochBatches(ORDER, seed=3)]))
    expected, *_ = reference.epoch(RATE_0, reference.to_float64(weights), DATA, ORDER, 8, Sgd(learning_rate=0.1), {})
    for name, array in backend.save(model).items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=2e-6, err_msg=name)
