"""An evaluation returns means over the examples, whatever the batches are, and does not change the model."""

import numpy as np
import pytest

from shared.data.batches import EpochBatches
from shared.data.datasets import Split
from shared.network.description import PRESETS, Network
from shared.network.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten
from shared.network.optimizers import Sgd
from tests.backend import reference
from tests.backend.random_examples import random_split, random_weights

COUNT = 2345  # two batches of 1,000 and a smaller one
# Rounding of one example's loss, see test_forward.py. The error of a mean is smaller.
TOLERANCE = 2e-6

NETWORK = PRESETS["article"].network((6, 5, 3), 10)


# A network whose layers compute something else in training than in an evaluation.
NORMED = Network(
    input_shape=(6, 5, 3),
    layers=(
        *(Conv2D(filters=4, kernel_size=3, activation="relu"), BatchNorm(), Flatten(), BatchNorm(momentum=0.5)),
        *(Dropout(rate=0.5), Dense(units=10)),
    ),
)


@pytest.fixture(scope="module")
def weights():
    return random_weights(NETWORK, seed=1)


@pytest.fixture(scope="module")
def data(weights):
    """The model predicts the first 2,000 labels correctly; the last 345 have the label with the smallest logit."""
    images = random_split(NETWORK, COUNT, seed=2).images
    logits = reference.forward(NETWORK, weights, images)[-1]
    return Split(images, np.where(np.arange(COUNT) < 2000, logits.argmax(axis=1), logits.argmin(axis=1)))


def test_loss_and_accuracy_are_means_over_the_examples_and_not_over_the_batches(backend, weights, data):
    result = backend.evaluate(backend.define_network(NETWORK, weights), backend.define_loss(), data)
    loss, _, probabilities = reference.evaluate(NETWORK, reference.to_float64(weights), data)
    assert result.loss == pytest.approx(loss, rel=TOLERANCE)
    assert result.accuracy == 2000 / 2345
    assert result.probabilities.shape == (COUNT, 10)
    np.testing.assert_allclose(result.probabilities, probabilities, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("count", [1, 999, 1000, 1001])
def test_any_number_of_examples_can_be_evaluated(backend, weights, data, count):
    few = Split(data.images[:count], data.labels[:count])
    result = backend.evaluate(backend.define_network(NETWORK, weights), backend.define_loss(), few)
    assert result.accuracy == 1.0
    assert result.probabilities.shape == (count, 10)


def test_weights_images_and_labels_are_not_changed(backend, weights, data):
    model = backend.define_network(NETWORK, weights)
    images, labels = data.images.copy(), data.labels.copy()
    backend.evaluate(model, backend.define_loss(), data)
    assert all((array == weights[name]).all() for name, array in backend.save(model).items())
    assert (data.images == images).all()
    assert (data.labels == labels).all()


def test_a_second_evaluation_gives_the_same_result(backend, weights, data):
    model, loss = backend.define_network(NETWORK, weights), backend.define_loss()
    one, two = (backend.evaluate(model, loss, data) for _ in range(2))
    assert (one.loss, one.accuracy) == (two.loss, two.accuracy)
    assert (one.probabilities == two.probabilities).all()


def test_two_models_use_their_own_weights(backend, data):
    both = [random_weights(NETWORK, seed) for seed in (1, 2)]
    models = [backend.define_network(NETWORK, weights) for weights in both]
    for _ in range(2):
        for model, weights in zip(models, both, strict=True):
            _, _, expected = reference.evaluate(NETWORK, reference.to_float64(weights), data)
            found = backend.evaluate(model, backend.define_loss(), data).probabilities
            np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_read_only_arrays_are_accepted_without_a_warning(backend, weights, data):
    frozen = Split(
        np.frombuffer(data.images.tobytes(), np.uint8).reshape(data.images.shape),
        np.frombuffer(data.labels.tobytes(), np.int64),
    )
    result = backend.evaluate(backend.define_network(NETWORK, weights), backend.define_loss(), frozen)
    assert result.accuracy == 2000 / 2345


def test_batch_norm_uses_its_moving_averages_whatever_else_is_in_the_batch(backend):
    weights, some = random_weights(NORMED, seed=3), random_split(NORMED, 50, seed=3)
    model, loss = backend.define_network(NORMED, weights), backend.define_loss()
    expected = reference.evaluate(NORMED, reference.to_float64(weights), some)[2]
    for count in (1, 2, 50):
        found = backend.evaluate(model, loss, Split(some.images[:count], some.labels[:count])).probabilities
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=TOLERANCE)
    # With the mean and variance of the batch instead, the result would be clearly different.
    logits = reference.forward(NORMED, reference.to_float64(weights), some.images, training=True)[-1]
    assert np.abs(np.exp(reference.log_softmax(logits)) - expected).max() > 0.1


def test_batch_norm_uses_the_moving_averages_that_training_updated(backend):
    some = random_split(NORMED, 50, seed=3)
    model, loss = backend.define_network(NORMED, random_weights(NORMED, seed=3)), backend.define_loss()
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    before = backend.save(model)
    for _ in backend.train(
        model, optimizer, loss, some, 16, [EpochBatches(np.arange(50)), EpochBatches(np.arange(50), seed=1)]
    ):
        after = backend.save(model)
        assert all((before[name] != after[name]).all() for name in before if ".moving_" in name)
        expected = reference.evaluate(NORMED, reference.to_float64(after), some)[2]
        np.testing.assert_allclose(backend.evaluate(model, loss, some).probabilities, expected, rtol=0, atol=TOLERANCE)
        assert all((array == after[name]).all() for name, array in backend.save(model).items())
        before = after
