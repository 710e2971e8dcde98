"""The forward pass of every layer in NumPy and float64.

A parity certificate compares each backend with this independent implementation. It is written to be read and checked
by hand, not to be fast. It shares no code with a backend and must never import a framework.
"""

from typing import assert_never

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from shared.network import layers
from shared.network.description import Network
from shared.network.layers import LEAKY_RELU_SLOPE, Activation, AveragePool2D, Conv2D, Layer, MaxPool2D
from shared.network.weights import Arrays

Array = NDArray[np.float64]


def activate(z: Array, activation: Activation | None) -> Array:
    """Apply an activation to each value of z; None returns z."""
    match activation:
        case None:
            return z
        case "relu":
            return np.maximum(z, 0)
        case "leaky_relu":
            return np.where(z > 0, z, LEAKY_RELU_SLOPE * z)
        case "sigmoid":
            # Equal to 1 / (1 + e^-z), but e^-z would overflow for large negative z.
            return np.exp(-np.logaddexp(0, -z))
        case "tanh":
            return np.tanh(z)
    assert_never(activation)


def extract_windows(layer: Conv2D | MaxPool2D | AveragePool2D, x: Array, padding_value: float) -> Array:
    """Return the values in each window of a layer.

    Args:
        layer: The layer that slides the window.
        x: Input [N, h, w, c].
        padding_value: The value of the padded pixels.

    Returns:
        A view [N, h', w', c, window height, window width].
    """
    size, (down, right) = layer.window()
    padded = np.pad(x, ((0, 0), *layer.pads(x.shape[1:]), (0, 0)), constant_values=padding_value)
    return sliding_window_view(padded, size, (1, 2))[:, ::down, ::right]


def forward(network: Network, weights: Arrays, images: NDArray[np.uint8], training: bool = True) -> list[Array]:
    """Compute every layer's output.

    Args:
        network: The description of the layers.
        weights: Canonical weights in any precision; they are converted to float64.
        images: uint8 [N, H, W, C].
        training: Whether batch norm uses the mean and variance of the batch, or else its moving averages. Dropout
            changes nothing in either case, because its masks differ between frameworks.

    Returns:
        The scaled input, followed by each layer's output. The last one is the logits [N, classes].
    """
    outputs: list[Array] = [images / 255]
    for index, layer in enumerate(network.layers):
        prefix = f"layers.{index}."
        own = {key.removeprefix(prefix): a.astype(np.float64) for key, a in weights.items() if key.startswith(prefix)}
        outputs.append(forward_layer(layer, own, outputs[-1], training))
    return outputs


def forward_layer(layer: Layer, weights: dict[str, Array], x: Array, training: bool) -> Array:
    """Compute the output of one layer.

    Args:
        layer: The description of the layer.
        weights: The layer's own weights in float64, such as {"kernel": ..., "bias": ...}.
        x: Input [N, ...].
        training: Whether batch norm uses the mean and variance of the batch.
    """
    match layer:
        case layers.Flatten():
            return x.reshape(len(x), -1)
        case layers.Dense():
            return activate(x @ weights["kernel"] + weights["bias"], layer.activation)
        case layers.Conv2D():
            values = extract_windows(layer, x, padding_value=0)
            z = np.einsum("nhwcij,ijcf->nhwf", values, weights["kernel"], optimize=True) + weights["bias"]
            return activate(z, layer.activation)
        case layers.MaxPool2D():
            return extract_windows(layer, x, padding_value=-np.inf).max((-2, -1))
        case layers.AveragePool2D():
            return np.nanmean(extract_windows(layer, x, padding_value=np.nan), (-2, -1))
        case layers.GlobalAveragePool2D():
            return x.mean((1, 2))
        case layers.BatchNorm():
            axes = tuple(range(x.ndim - 1))
            mean, variance = (
                (x.mean(axes), x.var(axes)) if training else (weights["moving_mean"], weights["moving_variance"])
            )
            return weights["gamma"] * (x - mean) / np.sqrt(variance + layer.epsilon) + weights["beta"]
        case layers.Dropout():
            return x
    assert_never(layer)
