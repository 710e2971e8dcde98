"""The reference itself: on paper, and against finite differences."""

import numpy as np
import pytest
from hypothesis import given, note

from shared.data.datasets import Split
from shared.network.description import Network
from shared.network.layers import AveragePool2D, BatchNorm, Conv2D, Dense, Flatten, GlobalAveragePool2D, MaxPool2D
from shared.network.optimizers import Adam, Sgd
from tests.backend import reference
from tests.backend.drawn import OPTIONS, examples, few, options, random_split, random_weights
from tests.backend.measure import distance, distances

# float64 has 16 digits. A central difference with step h errs by h^2 times the third derivative, and by
# 1e-16 / h (rounding), that is 1e-12 and 1e-10 for h = 1e-6; batch norm may magnify both a hundred times.
STEP = 1e-6
TOLERANCE = 1e-7


def gradients(network, parameters, data):
    return reference.gradients(network, parameters, reference.forward(network, parameters, data.images), data.labels)


def test_it_agrees_with_a_network_worked_out_on_paper():
    network = Network(input_shape=(1, 1, 1), layers=(Flatten(), Dense(units=2)))
    # White is 1, so the logits are ln 3 and 0, and the probabilities 3/4 and 1/4.
    parameters = {"layers.1.kernel": np.array([[np.log(3), 0.0]]), "layers.1.bias": np.zeros(2)}
    white = Split(np.full((1, 1, 1, 1), 255, np.uint8), np.array([1]))
    loss, accuracy, probabilities = reference.evaluate(network, parameters, white)
    assert probabilities == pytest.approx(np.array([[0.75, 0.25]]))
    assert (loss, accuracy) == (pytest.approx(np.log(4)), 0.0)
    slopes = gradients(network, parameters, white)
    assert slopes["layers.1.bias"] == pytest.approx(np.array([0.75, -0.75]))
    assert slopes["layers.1.kernel"] == pytest.approx(np.array([[0.75, -0.75]]))


def test_its_gradients_agree_with_central_finite_differences():
    seen = set()

    @few
    @given(example=examples())
    def agree(example):
        note(repr(example))
        network, optimizer, seed = example
        seen.update(options(network, optimizer))
        data = random_split(network, 5, seed)
        parameters = {name: value.astype(np.float64) for name, value in random_weights(network, seed).items()}
        slopes = gradients(network, parameters, data)
        learned = {name: shape for name, shape in network.parameter_shapes.items() if ".moving_" not in name}
        assert {name: slope.shape for name, slope in slopes.items()} == learned
        for name, slope in slopes.items():
            measured = np.empty_like(slope)
            for place in np.ndindex(slope.shape):
                there, back = parameters[name].copy(), parameters[name].copy()
                there[place] += STEP
                back[place] -= STEP
                higher, lower = (
                    reference.judge(
                        reference.forward(network, {**parameters, name: moved}, data.images)[-1], data.labels
                    )[0]
                    for moved in (there, back)
                )
                measured[place] = (higher - lower) / (2 * STEP)
            np.testing.assert_allclose(slope, measured, rtol=0, atol=TOLERANCE, err_msg=name)

    agree()
    assert seen == OPTIONS


WINDOWED = {
    # Of a window's equal values the first one takes the slope; 7 is the largest of three windows.
    "max": (MaxPool2D(pool_size=2, strides=1), [[7, 1, 3], [1, 7, 3], [2, 2, 2]], [[1, 0, 0], [0, 3, 0], [0, 0, 0]]),
    # Beyond the edge nothing counts: the last window of a row has one column only.
    "average": (
        AveragePool2D(pool_size=(1, 2), strides=(1, 2), padding="same"),
        [[1, 2, 3], [4, 5, 6]],
        [[0.5, 0.5, 1], [0.5, 0.5, 1]],
    ),
}


@pytest.mark.parametrize("name", WINDOWED)
def test_a_pool_hands_back_what_was_worked_out_on_paper(name):
    layer, x, expected = WINDOWED[name]
    x = np.array(x, np.float64)[np.newaxis, ..., np.newaxis]
    upstream = np.ones((1, *layer.output_shape(x.shape[1:])))
    seen = reference.extract_windows(layer, x, -np.inf if name == "max" else np.nan)
    y = seen.max((-2, -1)) if name == "max" else np.nanmean(seen, (-2, -1))
    found, _ = reference._backward(layer, {}, x, y, upstream)
    assert found[0, :, :, 0].tolist() == expected


def test_a_step_of_sgd_is_that_of_the_paper():
    weights, slopes = {"w": np.array([1.0, -2.0])}, {"w": np.array([0.5, 0.25])}
    once, state = reference.update(Sgd(learning_rate=0.1, momentum=0.5), weights, slopes, {})
    assert once["w"] == pytest.approx([0.95, -2.025])
    twice, _ = reference.update(Sgd(learning_rate=0.1, momentum=0.5), once, slopes, state)
    assert twice["w"] == pytest.approx([0.95 - 0.1 * 0.75, -2.025 - 0.1 * 0.375])
    ahead, _ = reference.update(Sgd(learning_rate=0.1, momentum=0.5, nesterov=True), weights, slopes, {})
    assert ahead["w"] == pytest.approx([1 - 0.1 * 0.75, -2 - 0.1 * 0.375])
    shrunk, _ = reference.update(Sgd(learning_rate=0.1, weight_decay=0.2), weights, slopes, {})
    assert shrunk["w"] == pytest.approx([0.98 - 0.05, -1.96 - 0.025])


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_slope():
    # m / (1 - beta_1) is g, and sqrt(v / (1 - beta_2)) is |g|.
    weights, slopes = {"w": np.array([1.0, 1.0])}, {"w": np.array([1e-3, -1e3])}
    moved, state = reference.update(Adam(learning_rate=0.01, epsilon=1e-12), weights, slopes, {})
    assert moved["w"] == pytest.approx([0.99, 1.01])
    # The second with twice the slope: m = 0.1 * 0.9 + 0.2, v = 0.001 * 0.999 + 0.004, in units of g.
    moved, _ = reference.update(Adam(learning_rate=0.01, epsilon=1e-12), weights, {"w": 2 * slopes["w"]}, state)
    ratio = (0.29 / 0.19) / np.sqrt(0.004999 / 0.001999)
    assert moved["w"] == pytest.approx([1 - 0.01 * ratio, 1 + 0.01 * ratio])
    # Far below epsilon it moves by almost nothing, and decay is that of the rate times the weight.
    slopes = {"w": np.array([1e-12, -1e-12])}
    moved, _ = reference.update(Adam(learning_rate=0.01, epsilon=1, weight_decay=0.5), weights, slopes, {})
    assert moved["w"] == pytest.approx([0.995, 0.995])


def test_moving_statistics_hold_the_mean_and_the_unbiased_variance():
    network = Network(input_shape=(1, 2, 1), layers=(BatchNorm(momentum=0.75), Flatten(), Dense(units=2)))
    before = {name: np.ones(shape) for name, shape in network.parameter_shapes.items()}
    # Two pictures of two pixels: 0, 2, 2, 4 have the mean 2 and the unbiased variance 8 / 3.
    x = np.array([0, 2, 2, 4.0]).reshape(2, 1, 2, 1)
    after = reference.statistics(network, before, [x, x])
    assert after["layers.0.moving_mean"] == pytest.approx([0.75 + 0.25 * 2])
    assert after["layers.0.moving_variance"] == pytest.approx([0.75 + 0.25 * 8 / 3])
    one = reference.statistics(network, before, [np.full((1, 1, 1, 1), 5.0)])
    assert one["layers.0.moving_variance"] == pytest.approx([0.75])


def test_a_convolution_of_the_whole_picture_is_a_dense_layer():
    images = random_split(Network(input_shape=(3, 4, 2), layers=(Flatten(), Dense(units=2))), 5, seed=0)
    hidden = Conv2D(filters=6, kernel_size=(3, 4), activation="tanh"), GlobalAveragePool2D()
    convolved = Network(input_shape=(3, 4, 2), layers=(*hidden, Dense(units=2)))
    dense = Network(input_shape=(3, 4, 2), layers=(Flatten(), Dense(units=6, activation="tanh"), Dense(units=2)))
    parameters = random_weights(convolved, seed=1)
    slopes = gradients(convolved, parameters, images)
    same = {
        f"layers.{there}.{what}": array.reshape(-1, 6) if (here, what) == (0, "kernel") else array
        for here, there in ((0, 1), (2, 2))
        for what in ("kernel", "bias")
        for array in [parameters[f"layers.{here}.{what}"]]
    }
    expected = gradients(dense, same, images)
    assert distances((slope.ravel() for slope in slopes.values()), (e.ravel() for e in expected.values())) < 1e-14


def test_the_distance_is_a_fraction_of_the_largest_and_of_the_group_for_what_is_nothing():
    assert distance({"w": np.array([1.0, 2.5])}, {"w": np.array([1.0, 2.0])}) == 0.25
    nothing = {"w": np.array([1.0]), "b": np.array([1e-17])}
    assert distance({**nothing, "b": np.array([-1e-17])}, nothing) == pytest.approx(2e-14)
    assert distance({"w": np.zeros(2)}, {"w": np.zeros(2)}) == 0
    assert distance({"w": np.array([np.nan])}, {"w": np.array([1.0])}) == np.inf
