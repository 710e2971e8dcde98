"""A training can be resumed from its weights and the optimiser's state, with the same result bit for bit."""

import numpy as np
import pytest

from shared.data.augmentation import Augmentation
from shared.data.batches import generate_epochs
from shared.network.description import Network
from shared.network.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten
from shared.network.optimizers import Adam, Sgd
from tests.backend.random_examples import random_split, random_weights

NETWORK = Network(
    input_shape=(5, 4, 3),
    layers=(
        *(Conv2D(filters=3, kernel_size=2, activation="relu"), BatchNorm(), Flatten()),
        *(Dropout(rate=0.3), Dense(units=4)),
    ),
)
DATA = random_split(NETWORK, 22, seed=2)
OPTIMIZERS = {
    "sgd": Sgd(learning_rate=0.1),
    "momentum": Sgd(learning_rate=0.05, momentum=0.9),
    "nesterov": Sgd(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": Adam(learning_rate=0.01, weight_decay=0.1),
}


def epochs(first, last, learning_rate=None):
    augmentation = Augmentation(shift=0.1)
    return generate_epochs(DATA, 7, first, last, True, augmentation, learning_rate)


def train(backend, optimizer, weights, state, first, last, precision="float32", learning_rate=None):
    """Train and return the weights, the optimiser's state and the history."""
    model = backend.define_network(NETWORK, weights, precision)
    ours = backend.define_optimizer(optimizer, model, state)
    drawn = epochs(first, last, learning_rate)
    history = list(backend.train(model, ours, backend.define_loss(), DATA, 8, drawn))
    return backend.save(model), backend.save_optimizer(ours), history


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert (found[name] == array).all(), name


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(backend, name, precision):
    optimizer, weights = OPTIMIZERS[name], random_weights(NETWORK, seed=1)
    through, through_state, history = train(backend, optimizer, weights, None, 1, 4, precision)
    half, state, before = train(backend, optimizer, weights, None, 1, 2, precision)
    on, on_state, after = train(backend, optimizer, half, state, 3, 4, precision)
    assert before + after == history
    assert_same(on, through)
    assert_same(on_state, through_state)


def test_each_epoch_has_its_own_learning_rate(backend):
    """Plain SGD keeps nothing between steps: two optimisers of different rates do what one with a schedule does."""
    rates = {1: 0.1, 2: 0.02}
    first, second = (Sgd(learning_rate=rate, weight_decay=0.1) for rate in rates.values())
    weights = random_weights(NETWORK, seed=1)
    scheduled, _, history = train(backend, first, weights, None, 1, 2, learning_rate=rates.get)
    half, _, before = train(backend, first, weights, None, 1, 1)
    apart, _, after = train(backend, second, half, None, 2, 2)
    assert before + after == history
    assert_same(scheduled, apart)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_training_continues_its_schedule(backend, name):
    optimizer, weights = OPTIMIZERS[name], random_weights(NETWORK, seed=1)
    through, _, _ = train(backend, optimizer, weights, None, 1, 3, learning_rate=lambda epoch: 0.05 / epoch)
    half, state, _ = train(backend, optimizer, weights, None, 1, 1, learning_rate=lambda epoch: 0.05 / epoch)
    on, _, _ = train(backend, optimizer, half, state, 2, 3, learning_rate=lambda epoch: 0.05 / epoch)
    assert_same(on, through)


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam"])
def test_without_the_state_the_result_would_be_different(backend, name):
    optimizer, weights = OPTIMIZERS[name], random_weights(NETWORK, seed=1)
    half, state, _ = train(backend, optimizer, weights, None, 1, 2)
    with_it, without = (train(backend, optimizer, half, each, 3, 4)[0] for each in (state, None))
    assert max(np.abs(with_it[parameter] - without[parameter]).max() for parameter in half) > 1e-3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_can_be_written_to_a_file_without_pickle(backend, name, tmp_path):
    _, state, _ = train(backend, OPTIMIZERS[name], random_weights(NETWORK, seed=1), None, 1, 1)
    np.savez(tmp_path / "state.npz", allow_pickle=False, **state)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as loaded:
        assert_same(dict(loaded), state)


def test_a_saved_state_is_a_copy_that_later_training_does_not_change(backend):
    model = backend.define_network(NETWORK, random_weights(NETWORK, seed=1))
    optimizer, loss = backend.define_optimizer(OPTIMIZERS["adam"], model), backend.define_loss()
    list(backend.train(model, optimizer, loss, DATA, 8, epochs(1, 1)))
    state = backend.save_optimizer(optimizer)
    kept = {name: array.copy() for name, array in state.items()}
    list(backend.train(model, optimizer, loss, DATA, 8, epochs(2, 2)))
    assert_same(state, kept)


def test_a_given_state_is_copied_and_not_changed(backend):
    half, state, _ = train(backend, OPTIMIZERS["adam"], random_weights(NETWORK, seed=1), None, 1, 2)
    kept = {name: array.copy() for name, array in state.items()}
    train(backend, OPTIMIZERS["adam"], half, state, 3, 3)
    assert_same(state, kept)
