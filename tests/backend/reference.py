"""The network in NumPy and float64: what every backend is held against.

It exists to be read and checked by hand, not to be fast, and shares no code
with a backend: gradients are written out, and test_reference.py holds them
against finite differences. It must never import a framework.
"""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from shared.dataset import Split
from shared.network import Dense, Flatten, Layer, Network

Array = NDArray[np.float64]
Parameters = dict[str, Array]

ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}

# dy/dz in terms of y = activation(z); relu's slope at its kink is 0.
SLOPES = {
    None: np.ones_like,
    "relu": lambda y: (y > 0).astype(np.float64),
    "sigmoid": lambda y: y * (1 - y),
}


def forward(network: Network, parameters: Parameters, images: NDArray[np.uint8]) -> list[Array]:
    """Pixels uint8 [N, H, W, C] -> the scaled input, then every layer's output; the last is logits [N, classes]."""
    outputs = [images / 255]
    for index, layer in enumerate(network.layers):
        outputs.append(_output(layer, f"layers.{index}", parameters, outputs[-1]))
    return outputs


def _output(layer: Layer, name: str, parameters: Parameters, x: Array) -> Array:
    match layer:
        case Flatten():
            return x.reshape(len(x), -1)
        case Dense():
            return ACTIVATIONS[layer.activation](x @ parameters[f"{name}.kernel"] + parameters[f"{name}.bias"])
    assert_never(layer)


def log_softmax(logits: Array) -> Array:
    """[N, classes] -> [N, classes]."""
    # The largest logit is subtracted first, so that no exponential overflows.
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def evaluate(network: Network, parameters: Parameters, data: Split) -> tuple[float, float, Array]:
    """Mean cross-entropy, accuracy, and probabilities [N, classes]."""
    logits = forward(network, parameters, data.images)[-1]
    loss = -log_softmax(logits)[np.arange(len(data)), data.labels].mean()
    return float(loss), float((logits.argmax(axis=1) == data.labels).mean()), np.exp(log_softmax(logits))


def gradients(network: Network, parameters: Parameters, data: Split) -> Parameters:
    """d mean cross-entropy / d parameter, under the parameter's name and in its shape."""
    outputs = forward(network, parameters, data.images)
    # Softmax and cross-entropy as one: d loss / d logits = (probabilities - one-hot labels) / N.
    upstream = (np.exp(log_softmax(outputs[-1])) - np.eye(outputs[-1].shape[1])[data.labels]) / len(data)
    found = {}
    for index, layer in reversed(list(enumerate(network.layers))):
        x, y = outputs[index : index + 2]
        if isinstance(layer, Dense):
            # y = activation(z), z = x @ kernel + bias: back through the activation, then the product.
            upstream = upstream * SLOPES[layer.activation](y)
            found[f"layers.{index}.kernel"] = x.T @ upstream
            found[f"layers.{index}.bias"] = upstream.sum(axis=0)
            upstream = upstream @ parameters[f"layers.{index}.kernel"].T
        else:
            upstream = upstream.reshape(x.shape)
    return found


def epoch(
    network: Network,
    parameters: Parameters,
    data: Split,
    order: NDArray[np.int64],
    batch_size: int,
    learning_rate: float,
) -> tuple[Parameters, float, float]:
    """One epoch of SGD in the given order, the last, smaller batch included.

    Returns:
        The new parameters; loss and accuracy as seen on the way: means over the examples.
    """
    total_loss = correct = 0.0
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = Split(data.images[chosen], data.labels[chosen])
        loss, accuracy, _ = evaluate(network, parameters, batch)
        total_loss += loss * len(batch)
        correct += accuracy * len(batch)
        slopes = gradients(network, parameters, batch)
        parameters = {name: value - learning_rate * slopes[name] for name, value in parameters.items()}
    return parameters, total_loss / len(order), round(correct) / len(order)
