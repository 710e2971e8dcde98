"""The reference agrees with calculations on paper and with finite differences."""

import numpy as np
import pytest
from hypothesis import given, note

from shared.data.datasets import Split
from shared.network.description import Network
from shared.network.layers import AveragePool2D, BatchNorm, Conv2D, Dense, Flatten, GlobalAveragePool2D, MaxPool2D
from shared.network.optimizers import Adam, Sgd
from tests.backend import reference
from tests.backend.distance import distance, distances
from tests.backend.random_examples import OPTIONS, examples, few, options, random_split, random_weights

# float64 has 16 digits. The error of a central difference with step h is h^2 times the third derivative plus rounding
# of 1e-16 / h. For h = 1e-6 these are 1e-12 and 1e-10. Batch norm may magnify both a hundred times.
STEP = 1e-6
TOLERANCE = 1e-7


def gradients(network, parameters, data):
    return reference.gradients(network, parameters, reference.forward(network, parameters, data.images), data.labels)


def test_a_network_agrees_with_a_calculation_on_paper():
    network = Network(input_shape=(1, 1, 1), layers=(Flatten(), Dense(units=2)))
    # A white pixel is 1, so the logits are ln 3 and 0, and the probabilities 3/4 and 1/4.
    parameters = {"layers.1.kernel": np.array([[np.log(3), 0.0]]), "layers.1.bias": np.zeros(2)}
    white = Split(np.full((1, 1, 1, 1), 255, np.uint8), np.array([1]))
    loss, accuracy, probabilities = reference.evaluate(network, parameters, white)
    assert probabilities == pytest.approx(np.array([[0.75, 0.25]]))
    assert (loss, accuracy) == (pytest.approx(np.log(4)), 0.0)
    found = gradients(network, parameters, white)
    assert found["layers.1.bias"] == pytest.approx(np.array([0.75, -0.75]))
    assert found["layers.1.kernel"] == pytest.approx(np.array([[0.75, -0.75]]))


def test_gradients_agree_with_central_finite_differences():
    seen = set()

    @few
    @given(example=examples())
    def agree(example):
        note(repr(example))
        network, optimizer, seed = example
        seen.update(options(network, optimizer))
        data = random_split(network, 5, seed)
        parameters = {name: value.astype(np.float64) for name, value in random_weights(network, seed).items()}
        found = gradients(network, parameters, data)
        learned = {name: shape for name, shape in network.parameter_shapes.items() if ".moving_" not in name}
        assert {name: gradient.shape for name, gradient in found.items()} == learned
        for name, gradient in found.items():
            measured = np.empty_like(gradient)
            for place in np.ndindex(gradient.shape):
                there, back = parameters[name].copy(), parameters[name].copy()
                there[place] += STEP
                back[place] -= STEP
                higher, lower = (
                    reference.loss_and_accuracy(
                        reference.forward(network, {**parameters, name: moved}, data.images)[-1], data.labels
                    )[0]
                    for moved in (there, back)
                )
                measured[place] = (higher - lower) / (2 * STEP)
            np.testing.assert_allclose(gradient, measured, rtol=0, atol=TOLERANCE, err_msg=name)

    agree()
    assert seen == OPTIONS


WINDOWED = {
    # The first of several equal values gets the gradient. The 7 in the middle is the largest value of three windows.
    "max": (MaxPool2D(pool_size=2, strides=1), [[7, 1, 3], [1, 7, 3], [2, 2, 2]], [[1, 0, 0], [0, 3, 0], [0, 0, 0]]),
    # Padding does not count: the last window of a row has only one column.
    "average": (
        AveragePool2D(pool_size=(1, 2), strides=(1, 2), padding="same"),
        [[1, 2, 3], [4, 5, 6]],
        [[0.5, 0.5, 1], [0.5, 0.5, 1]],
    ),
}


@pytest.mark.parametrize("name", WINDOWED)
def test_the_gradient_of_a_pool_is_that_calculated_on_paper(name):
    layer, x, expected = WINDOWED[name]
    x = np.array(x, np.float64)[np.newaxis, ..., np.newaxis]
    upstream = np.ones((1, *layer.output_shape(x.shape[1:])))
    seen = reference.extract_windows(layer, x, -np.inf if name == "max" else np.nan)
    y = seen.max((-2, -1)) if name == "max" else np.nanmean(seen, (-2, -1))
    found, _ = reference._backward(layer, {}, x, y, upstream)
    assert found[0, :, :, 0].tolist() == expected


def test_a_step_of_sgd_is_that_calculated_on_paper():
    weights, step_gradients = {"w": np.array([1.0, -2.0])}, {"w": np.array([0.5, 0.25])}
    once, state = reference.update(Sgd(learning_rate=0.1, momentum=0.5), weights, step_gradients, {})
    assert once["w"] == pytest.approx([0.95, -2.025])
    twice, _ = reference.update(Sgd(learning_rate=0.1, momentum=0.5), once, step_gradients, state)
    assert twice["w"] == pytest.approx([0.95 - 0.1 * 0.75, -2.025 - 0.1 * 0.375])
    ahead, _ = reference.update(Sgd(learning_rate=0.1, momentum=0.5, nesterov=True), weights, step_gradients, {})
    assert ahead["w"] == pytest.approx([1 - 0.1 * 0.75, -2 - 0.1 * 0.375])
    shrunk, _ = reference.update(Sgd(learning_rate=0.1, weight_decay=0.2), weights, step_gradients, {})
    assert shrunk["w"] == pytest.approx([0.98 - 0.05, -1.96 - 0.025])


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradient():
    # m / (1 - beta_1) is g, and sqrt(v / (1 - beta_2)) is |g|.
    weights, step_gradients = {"w": np.array([1.0, 1.0])}, {"w": np.array([1e-3, -1e3])}
    moved, state = reference.update(Adam(learning_rate=0.01, epsilon=1e-12), weights, step_gradients, {})
    assert moved["w"] == pytest.approx([0.99, 1.01])
    # The second step has twice the gradient: m = 0.1 * 0.9 + 0.2, v = 0.001 * 0.999 + 0.004, in units of g.
    moved, _ = reference.update(Adam(learning_rate=0.01, epsilon=1e-12), weights, {"w": 2 * step_gradients["w"]}, state)
    ratio = (0.29 / 0.19) / np.sqrt(0.004999 / 0.001999)
    assert moved["w"] == pytest.approx([1 - 0.01 * ratio, 1 + 0.01 * ratio])
    # A gradient far below epsilon changes almost nothing, so only the weight decay is left.
    step_gradients = {"w": np.array([1e-12, -1e-12])}
    moved, _ = reference.update(Adam(learning_rate=0.01, epsilon=1, weight_decay=0.5), weights, step_gradients, {})
    assert moved["w"] == pytest.approx([0.995, 0.995])


def test_moving_averages_take_the_mean_and_the_unbiased_variance():
    network = Network(input_shape=(1, 2, 1), layers=(BatchNorm(momentum=0.75), Flatten(), Dense(units=2)))
    before = {name: np.ones(shape) for name, shape in network.parameter_shapes.items()}
    # Two images of two pixels: 0, 2, 2, 4 have the mean 2 and the unbiased variance 8 / 3.
    x = np.array([0, 2, 2, 4.0]).reshape(2, 1, 2, 1)
    after = reference.update_statistics(network, before, [x, x])
    assert after["layers.0.moving_mean"] == pytest.approx([0.75 + 0.25 * 2])
    assert after["layers.0.moving_variance"] == pytest.approx([0.75 + 0.25 * 8 / 3])
    one = reference.update_statistics(network, before, [np.full((1, 1, 1, 1), 5.0)])
    assert one["layers.0.moving_variance"] == pytest.approx([0.75])


def test_a_convolution_with_a_kernel_of_the_images_size_is_a_dense_layer():
    images = random_split(Network(input_shape=(3, 4, 2), layers=(Flatten(), Dense(units=2))), 5, seed=0)
    hidden = Conv2D(filters=6, kernel_size=(3, 4), activation="tanh"), GlobalAveragePool2D()
    convolved = Network(input_shape=(3, 4, 2), layers=(*hidden, Dense(units=2)))
    dense = Network(input_shape=(3, 4, 2), layers=(Flatten(), Dense(units=6, activation="tanh"), Dense(units=2)))
    parameters = random_weights(convolved, seed=1)
    found = gradients(convolved, parameters, images)
    same = {
        f"layers.{there}.{what}": array.reshape(-1, 6) if (here, what) == (0, "kernel") else array
        for here, there in ((0, 1), (2, 2))
        for what in ("kernel", "bias")
        for array in [parameters[f"layers.{here}.{what}"]]
    }
    expected = gradients(dense, same, images)
    assert distances((gradient.ravel() for gradient in found.values()), (e.ravel() for e in expected.values())) < 1e-14


def test_the_distance_is_relative_to_the_tensor_or_to_the_group_if_the_tensor_is_almost_0():
    assert distance({"w": np.array([1.0, 2.5])}, {"w": np.array([1.0, 2.0])}) == 0.25
    nothing = {"w": np.array([1.0]), "b": np.array([1e-17])}
    assert distance({**nothing, "b": np.array([-1e-17])}, nothing) == pytest.approx(2e-14)
    assert distance({"w": np.zeros(2)}, {"w": np.zeros(2)}) == 0
    assert distance({"w": np.array([np.nan])}, {"w": np.array([1.0])}) == np.inf
