"""The forward pass of every layer in NumPy and float64: the third opinion of a parity certificate.

It exists to be read and checked by hand, not to be fast, and shares no code
with a backend. It must never import a framework.
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
    match activation:
        case None:
            return z
        case "relu":
            return np.maximum(z, 0)
        case "leaky_relu":
            return np.where(z > 0, z, LEAKY_RELU_SLOPE * z)
        case "sigmoid":
            return np.exp(-np.logaddexp(0, -z))  # 1 / (1 + e^-z), where e^-z would overflow too
        case "tanh":
            return np.tanh(z)
    assert_never(activation)


def windows(layer: Conv2D | MaxPool2D | AveragePool2D, x: Array, beyond: float) -> Array:
    """What a layer's window sees: [N, h, w, c] -> [N, h', w', c, kh, kw], with `beyond` where there is padding."""
    size, (down, right) = layer.window()
    padded = np.pad(x, ((0, 0), *layer.pads(x.shape[1:]), (0, 0)), constant_values=beyond)
    return sliding_window_view(padded, size, (1, 2))[:, ::down, ::right]


def forward(network: Network, weights: Arrays, images: NDArray[np.uint8], training: bool = True) -> list[Array]:
    """Pixels uint8 [N, H, W, C] -> the scaled input, then every layer's output; the last is logits [N, classes].

    Args:
        training: whether batch norm takes the batch's own mean and variance.

    Dropout lets everything pass: its masks are no two frameworks' the same.
    """
    outputs: list[Array] = [images / 255]
    for index, layer in enumerate(network.layers):
        here = f"layers.{index}."
        own = {name.removeprefix(here): a.astype(np.float64) for name, a in weights.items() if name.startswith(here)}
        outputs.append(output(layer, own, outputs[-1], training))
    return outputs


def output(layer: Layer, weights: dict[str, Array], x: Array, training: bool) -> Array:
    """What one layer makes of [N, ...]."""
    match layer:
        case layers.Flatten():
            return x.reshape(len(x), -1)
        case layers.Dense():
            return activate(x @ weights["kernel"] + weights["bias"], layer.activation)
        case layers.Conv2D():
            seen = windows(layer, x, beyond=0)
            z = np.einsum("nhwcij,ijcf->nhwf", seen, weights["kernel"], optimize=True) + weights["bias"]
            return activate(z, layer.activation)
        case layers.MaxPool2D():
            return windows(layer, x, beyond=-np.inf).max((-2, -1))
        case layers.AveragePool2D():
            return np.nanmean(windows(layer, x, beyond=np.nan), (-2, -1))
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
