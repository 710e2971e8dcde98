"""The NumPy forward pass agrees with plain loops over single numbers and with SciPy's correlation."""

from collections.abc import Iterator
from itertools import product
from math import exp, inf, prod, sqrt, tanh

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d

from shared.network.description import PRESETS, Network
from shared.network.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
)
from shared.network.reference import forward

# Sums of a few hundred doubles, added in another order, differ by less than this.
TOLERANCE = 1e-12

LOGITS = Dense(units=2)
ACTIVATE = {
    None: lambda z: z,
    "relu": lambda z: z if z > 0 else 0.0,
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "sigmoid": lambda z: 1 / (1 + exp(-z)),
    "tanh": tanh,
}
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


def arrays(network: Network, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return weights that are not 0, and three random images."""
    generator = np.random.default_rng(seed)
    weights = {name: generator.uniform(0.1, 1, shape) for name, shape in network.parameter_shapes.items()}
    weights = {name: array * generator.choice([-1, 1], array.shape) for name, array in weights.items()}
    weights = {name: np.abs(array) if "variance" in name else array for name, array in weights.items()}
    return weights, generator.integers(0, 256, (3, *network.input_shape), np.uint8)


def network_of(layer: Layer, shape: tuple[int, int, int]) -> Network:
    flat = () if len(layer.output_shape(shape)) == 1 else (Flatten(),)
    return Network(input_shape=shape, layers=(layer, *flat, LOGITS))


def window_pixels(
    layer: Conv2D | MaxPool2D | AveragePool2D, x: np.ndarray, row: int, column: int
) -> Iterator[tuple[int, ...]]:
    """Yield (i, j, row, column) for each pixel of a window that is inside the image x [h, w, c]."""
    (height, width), (down, right) = layer.window()
    # TensorFlow's rule: as much padding as the last window needs, with an odd pixel at the end.
    starts = [0, 0]
    if layer.padding == "same":
        for axis, (side, edge, stride) in enumerate(zip(x.shape, (height, width), (down, right), strict=False)):
            needed = edge - stride if side % stride == 0 else edge - side % stride
            starts[axis] = -(max(needed, 0) // 2)
    for i, j in product(range(height), range(width)):
        place = row * down + i + starts[0], column * right + j + starts[1]
        if 0 <= place[0] < x.shape[0] and 0 <= place[1] < x.shape[1]:
            yield i, j, *place


@pytest.mark.parametrize("kind", ["conv2d", "max_pool2d", "average_pool2d"])
@given(
    sides=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    size=pairs,
    strides=pairs,
    padding=st.sampled_from(["valid", "same"]),
    channels=st.integers(1, 3),
    activation=st.sampled_from(list(ACTIVATE)),
)
def test_a_layer_with_a_window_equals_a_loop_over_its_pixels(kind, sides, size, strides, padding, channels, activation):
    if padding == "valid":
        size = tuple(min(edge, side) for edge, side in zip(size, sides, strict=True))
    window = {"strides": strides, "padding": padding}
    if kind == "conv2d":
        layer = Conv2D(filters=2, kernel_size=size, activation=activation, **window)
    else:
        layer = {"max_pool2d": MaxPool2D, "average_pool2d": AveragePool2D}[kind](pool_size=size, **window)
    network = network_of(layer, (*sides, channels))
    weights, images = arrays(network, seed=prod(sides) + channels)
    found = forward(network, weights, images)[1]
    assert found.shape == (3, *layer.output_shape((*sides, channels)))
    for n, row, column, channel in np.ndindex(found.shape):
        x = images[n] / 255
        if kind == "conv2d":
            kernel = weights["layers.0.kernel"]
            z = weights["layers.0.bias"][channel]
            for i, j, above, beside in window_pixels(layer, x, row, column):
                z += sum(x[above, beside, c] * kernel[i, j, c, channel] for c in range(channels))
            expected = ACTIVATE[activation](z)
        else:
            values = [x[above, beside, channel] for _, _, above, beside in window_pixels(layer, x, row, column)]
            expected = max(values, default=-inf) if kind == "max_pool2d" else sum(values) / len(values)
        assert found[n, row, column, channel] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(("padding", "mode"), [("valid", "valid"), ("same", "same")])
def test_a_convolution_equals_scipys_correlation(padding: str, mode: str) -> None:
    # For a window with odd sides, "same" means the same in SciPy and in TensorFlow.
    network = network_of(Conv2D(filters=4, kernel_size=(3, 5), padding=padding), (9, 8, 3))
    weights, images = arrays(network, seed=0)
    found = forward(network, weights, images)[1]
    for n, filter_ in product(range(3), range(4)):
        expected = weights["layers.0.bias"][filter_] + sum(
            correlate2d(images[n, :, :, c] / 255, weights["layers.0.kernel"][:, :, c, filter_], mode) for c in range(3)
        )
        np.testing.assert_allclose(found[n, :, :, filter_], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("activation", ACTIVATE)
def test_a_dense_layer_equals_a_loop_over_its_inputs(activation: str | None) -> None:
    layers = (Flatten(), Dense(units=5, activation=activation), LOGITS)
    network = Network(input_shape=(2, 3, 2), layers=layers)
    weights, images = arrays(network, seed=1)
    scaled, flat, found, _ = forward(network, weights, images)
    assert scaled.tolist() == (images / 255).tolist()
    for n, unit in np.ndindex(found.shape):
        # In the order height, width, channel; the channel changes fastest.
        inputs = [images[n, i, j, c] / 255 for i in range(2) for j in range(3) for c in range(2)]
        assert flat[n].tolist() == inputs
        z = weights["layers.1.bias"][unit]
        z += sum(x * weights["layers.1.kernel"][index, unit] for index, x in enumerate(inputs))
        assert found[n, unit] == pytest.approx(ACTIVATE[activation](z), abs=TOLERANCE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("flat", [True, False], ids=["vectors", "pictures"])
def test_batch_norm_equals_a_loop_over_channels(flat: bool, training: bool) -> None:
    norm = BatchNorm(epsilon=0.01)
    layers = (Flatten(), norm, LOGITS) if flat else (norm, Flatten(), LOGITS)
    network = Network(input_shape=(2, 3, 2), layers=layers)
    weights, images = arrays(network, seed=2)
    index = 1 if flat else 0
    outputs = forward(network, weights, images, training)
    x, found = outputs[index : index + 2]
    gamma, beta, mean, variance = (
        weights[f"layers.{index}.{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    for channel in range(x.shape[-1]):
        values = [float(value) for value in x[..., channel].ravel()]
        average = sum(values) / len(values) if training else mean[channel]
        spread = sum((value - average) ** 2 for value in values) / len(values) if training else variance[channel]
        expected = [gamma[channel] * (v - average) / sqrt(spread + 0.01) + beta[channel] for v in values]
        assert found[..., channel].ravel() == pytest.approx(expected, abs=TOLERANCE)


def test_a_global_average_is_the_mean_of_each_channel_and_dropout_changes_nothing() -> None:
    layers = (Dropout(rate=0.9), GlobalAveragePool2D(), Dropout(rate=0.5), LOGITS)
    network = Network(input_shape=(4, 5, 3), layers=layers)
    weights, images = arrays(network, seed=3)
    for training in (True, False):
        outputs = forward(network, weights, images, training)
        assert (outputs[1] == outputs[0]).all()
        assert (outputs[3] == outputs[2]).all()
        for n, channel in np.ndindex(3, 3):
            expected = sum(images[n, i, j, channel] / 255 for i in range(4) for j in range(5)) / 20
            assert outputs[2][n, channel] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_outputs_of_a_preset_are_float64_and_have_the_shapes_of_its_description(preset: str) -> None:
    network = PRESETS[preset].network((28, 28, 1), 10)
    weights, images = arrays(network, seed=4)
    for training in (True, False):
        outputs = forward(network, weights, images, training)
        assert [output.shape for output in outputs] == [(3, *shape) for shape in network.shapes]
        assert {output.dtype for output in outputs} == {np.dtype(np.float64)}


@pytest.mark.parametrize("training", [True, False])
def test_float32_weights_are_converted_to_float64(training: bool) -> None:
    network = PRESETS["cnn"].network((8, 8, 1), 10)
    weights, images = arrays(network, seed=5)
    single = {name: array.astype(np.float32) for name, array in weights.items()}
    double = {name: array.astype(np.float64) for name, array in single.items()}
    found, expected = (forward(network, each, images, training)[-1] for each in (single, double))
    assert found == pytest.approx(expected, rel=TOLERANCE)


def test_the_sigmoid_of_a_very_large_input_is_1_or_0_without_a_warning() -> None:
    network = Network(input_shape=(1, 1, 1), layers=(Flatten(), Dense(units=2, activation="sigmoid"), LOGITS))
    weights = {name: np.zeros(shape) for name, shape in network.parameter_shapes.items()}
    weights["layers.1.kernel"] = np.array([[1000.0, -1000.0]])
    assert forward(network, weights, np.full((1, 1, 1, 1), 255, np.uint8))[2].tolist() == [[1, 0]]
