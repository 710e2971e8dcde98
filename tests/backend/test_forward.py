"""Probabilities, loss and accuracy agree with the reference."""

import numpy as np
import pytest
from hypothesis import given, note

from shared.data.datasets import Split
from shared.network.description import PRESETS, Network
from shared.network.layers import Dense, Flatten
from tests.backend import reference
from tests.backend.random_examples import examples, few, random_split, random_weights

# float32 rounds a number by up to 6e-8 of its size. Logits here are between 1 and 10 and are sums of up to a few
# hundred products. Their error is about 5e-7, and that of probabilities and losses is not larger. The tolerance is 4
# times that.
TOLERANCE = 2e-6


def assert_agrees(backend, network, weights, data):
    result = backend.evaluate(backend.define_network(network, weights), backend.define_loss(), data)
    loss, accuracy, probabilities = reference.evaluate(network, reference.to_float64(weights), data)
    np.testing.assert_allclose(result.probabilities, probabilities, rtol=0, atol=TOLERANCE)
    assert result.probabilities.shape == (len(data), *network.output_shape)
    assert result.loss == pytest.approx(loss, rel=TOLERANCE, abs=TOLERANCE)
    assert result.accuracy == accuracy


@few
@given(example=examples())
def test_any_network_agrees_with_the_reference(backend, example):
    note(repr(example))
    network, _, seed = example
    assert_agrees(backend, network, random_weights(network, seed), random_split(network, 23, seed))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (13, 14, 3)])
def test_a_preset_agrees_with_the_reference(backend, preset, shape):
    network = PRESETS[preset].network(shape, 10)
    assert_agrees(backend, network, random_weights(network, seed=2), random_split(network, 23, seed=3))


def test_images_are_flattened_in_the_order_height_width_channel(backend):
    shape = (2, 4, 3)
    network = Network(input_shape=shape, layers=(Flatten(), Dense(units=24)))
    # Each image has one white pixel, and each pixel is a class of its own.
    pictures = np.zeros((24, *shape), np.uint8)
    for index, (row, column, channel) in enumerate(np.ndindex(shape)):
        pictures[index, row, column, channel] = 255
    weights = {"layers.1.kernel": 20 * np.eye(24, dtype=np.float32), "layers.1.bias": np.zeros(24, np.float32)}
    model = backend.define_network(network, weights)
    result = backend.evaluate(model, backend.define_loss(), Split(pictures, np.arange(24)))
    assert result.accuracy == 1.0


def test_the_model_scales_every_grey_level_to_0_to_1(backend):
    network = Network(input_shape=(1, 1, 1), layers=(Flatten(), Dense(units=2)))
    weights = {"layers.1.kernel": np.array([[4, 0]], np.float32), "layers.1.bias": np.array([-2, 0], np.float32)}
    levels = Split(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1), np.zeros(256, np.int64))
    result = backend.evaluate(backend.define_network(network, weights), backend.define_loss(), levels)
    # With two classes, the softmax of (z, 0) is the sigmoid of z. Here z = 4 * level / 255 - 2.
    expected = 1 / (1 + np.exp(2 - 4 * np.arange(256) / 255))
    np.testing.assert_allclose(result.probabilities[:, 0], expected, rtol=0, atol=TOLERANCE)


def test_the_loss_of_a_confident_mistake_is_the_difference_of_the_logits(backend):
    network = Network(input_shape=(1, 1, 1), layers=(Flatten(), Dense(units=2)))
    weights = {"layers.1.kernel": np.array([[1000, 0]], np.float32), "layers.1.bias": np.zeros(2, np.float32)}
    white = Split(np.full((1, 1, 1, 1), 255, np.uint8), np.array([1]))
    result = backend.evaluate(backend.define_network(network, weights), backend.define_loss(), white)
    assert result.loss == pytest.approx(1000, rel=1e-6)
    assert result.probabilities.tolist() == [[1.0, 0.0]]
