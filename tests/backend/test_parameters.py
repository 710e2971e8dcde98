"""A model takes weights in the canonical layout and returns them bit for bit."""

import numpy as np
import pytest
from hypothesis import given, note

from shared.data.batches import EpochBatches
from shared.network.description import PRESETS
from shared.network.optimizers import Sgd
from shared.network.weights import initial_weights
from tests.backend.random_examples import examples, few, random_split, random_weights


def assert_same_bits(weights, expected):
    assert list(weights) == list(expected)
    for name, array in expected.items():
        assert (weights[name].dtype, weights[name].shape) == (np.float32, array.shape)
        assert weights[name].flags.c_contiguous
        assert weights[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("draw", [initial_weights, random_weights])
def test_a_preset_returns_the_weights_that_it_was_given(backend, preset, draw):
    network = PRESETS[preset].network((28, 28, 1), 10)
    weights = draw(network, seed=1)
    assert_same_bits(backend.save(backend.define_network(network, weights)), weights)


@few
@given(example=examples())
def test_any_network_returns_the_weights_that_it_was_given(backend, example):
    note(repr(example))
    weights = random_weights(example.network, example.seed)
    assert_same_bits(backend.save(backend.define_network(example.network, weights)), weights)


def test_float64_weights_keep_all_their_digits(backend):
    network = PRESETS["cnn"].network((8, 8, 1), 10)
    weights = random_weights(network, seed=1)
    saved = backend.save(backend.define_network(network, weights, "float64"))
    assert {array.dtype.name for array in saved.values()} == {"float64"}
    assert all((array == weights[name]).all() for name, array in saved.items())
    third = {name: array.astype(np.float64) / 3 for name, array in weights.items()}
    saved = backend.save(backend.define_network(network, third, "float64"))
    assert all((array == third[name]).all() for name, array in saved.items())


def test_a_model_in_float64_does_not_change_a_model_in_float32(backend):
    network = PRESETS["cnn"].network((8, 8, 1), 10)
    weights, data = random_weights(network, seed=1), random_split(network, 5, seed=1)
    single, loss = backend.define_network(network, weights), backend.define_loss()
    before = backend.evaluate(single, loss, data)
    backend.define_network(network, weights, "float64")
    assert_same_bits(backend.save(single), weights)
    assert backend.evaluate(single, loss, data).loss == before.loss
    assert_same_bits(backend.save(backend.define_network(network, weights)), weights)


def test_negative_zero_and_subnormal_numbers_are_kept(backend):
    network = PRESETS["article"].network((1, 1, 1), 3)
    weights = initial_weights(network, seed=0)
    weights["layers.1.bias"][:3] = [-0.0, 1e-45, -3.4e38]
    assert_same_bits(backend.save(backend.define_network(network, weights)), weights)


def test_without_weights_the_framework_draws_initial_weights(backend):
    network = PRESETS["mlp"].network((5, 3, 3), 7)
    weights = backend.save(backend.define_network(network, None))
    assert {name: array.shape for name, array in weights.items()} == network.parameter_shapes
    assert all(np.isfinite(array).all() for array in weights.values())
    # Every kernel is random: its values differ, and none of them is 0.
    for name in ("layers.1.kernel", "layers.2.kernel"):
        assert weights[name].all()
        assert len(np.unique(weights[name])) > 0.99 * weights[name].size


def test_without_weights_convolutions_are_random_and_batch_norm_is_the_identity(backend):
    network = PRESETS["cnn"].network((8, 8, 1), 10)
    weights = backend.save(backend.define_network(network, None))
    assert {name: array.shape for name, array in weights.items()} == network.parameter_shapes
    for name, array in weights.items():
        what = name.rsplit(".", maxsplit=1)[-1]
        if what == "kernel":
            assert len(np.unique(array)) > 0.99 * array.size
        elif what != "bias":
            assert (array == (what in ("gamma", "moving_variance"))).all(), name


def test_two_networks_without_weights_have_different_initial_weights(backend):
    network = PRESETS["mlp"].network((5, 3, 3), 7)
    one, two = (backend.save(backend.define_network(network, None)) for _ in range(2))
    assert (one["layers.1.kernel"] != two["layers.1.kernel"]).any()


def test_saved_weights_are_a_copy_that_later_training_does_not_change(backend):
    network = PRESETS["article"].network((4, 4, 1), 3)
    weights = random_weights(network, seed=0)
    model = backend.define_network(network, weights)
    saved = backend.save(model)
    optimizer = backend.define_optimizer(Sgd(learning_rate=1), model)
    epoch, loss = EpochBatches(np.arange(9)), backend.define_loss()
    list(backend.train(model, optimizer, loss, random_split(network, 9, 0), 4, [epoch]))
    assert_same_bits(saved, weights)
    assert all((backend.save(model)[name] != weights[name]).any() for name in weights)


def test_given_weights_are_copied_and_not_changed(backend):
    network = PRESETS["article"].network((4, 4, 1), 3)
    weights = random_weights(network, seed=0)
    model = backend.define_network(network, weights)
    for array in weights.values():
        array.fill(0)
    assert_same_bits(backend.save(model), random_weights(network, seed=0))
