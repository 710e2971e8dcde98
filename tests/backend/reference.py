"""Training in NumPy and float64. The tests compare every backend with it.

It is written to be read and checked by hand, not to be fast. It shares no code with a backend and must never import a
framework. The forward pass is that of `shared.network.reference`. The gradients are written out here, and
test_reference.py compares them with finite differences.
"""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from shared.backend import Step
from shared.data.datasets import Split
from shared.network import layers
from shared.network.description import Network
from shared.network.layers import LEAKY_RELU_SLOPE, AveragePool2D, Conv2D, Layer, MaxPool2D, Shape
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.reference import Array, extract_windows, forward
from shared.network.weights import Arrays

# dy/dz as a function of y = activation(z). Where a ReLU has no derivative (z = 0), the left one counts, as in both
# frameworks.
DERIVATIVES = {
    None: np.ones_like,
    "relu": lambda y: np.where(y > 0, 1.0, 0.0),
    "leaky_relu": lambda y: np.where(y > 0, 1.0, LEAKY_RELU_SLOPE),
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y**2,
}


def to_float64(weights: Arrays) -> Arrays:
    """Return a copy in float64. The functions below compute in the precision of their parameters."""
    return {name: array.astype(np.float64) for name, array in weights.items()}


def log_softmax(logits: Array) -> Array:
    """Return the logarithms of the probabilities [N, classes] of logits [N, classes]."""
    # Subtracting the largest logit first keeps the exponentials from overflowing.
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def loss_and_accuracy(logits: Array, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    loss = -log_softmax(logits)[np.arange(len(labels)), labels].mean()
    return float(loss), float((logits.argmax(axis=1) == labels).mean())


def evaluate(network: Network, parameters: Arrays, data: Split) -> tuple[float, float, Array]:
    """Return the mean cross-entropy, the accuracy and the probabilities [N, classes]."""
    logits = forward(network, parameters, data.images, training=False)[-1]
    return *loss_and_accuracy(logits, data.labels), np.exp(log_softmax(logits))


# Gradients ----------------------------------------------------------------


def gradients(
    network: Network, parameters: Arrays, outputs: list[Array], labels: NDArray[np.int64], masks: Arrays | None = None
) -> Arrays:
    """Return the gradient of the mean cross-entropy with respect to each trained parameter.

    Args:
        network: The description of the layers.
        parameters: Weights in float64, by canonical name.
        outputs: What `forward` returned in training mode.
        labels: int64 [N].
        masks: By `layers.<index>`, the factors by which a dropout layer multiplied its input. By default 1.

    Returns:
        Canonical name -> array of the parameter's shape, in the order of the parameters.
    """
    # Softmax and cross-entropy as one: d loss / d logits = (probabilities - one-hot labels) / N.
    upstream = (np.exp(log_softmax(outputs[-1])) - np.eye(outputs[-1].shape[1])[labels]) / len(labels)
    found = {}
    for index, layer in reversed(list(enumerate(network.layers))):
        name = f"layers.{index}"
        weights = {key.split(".")[2]: array for key, array in parameters.items() if key.startswith(f"{name}.")}
        upstream, own = _backward(layer, weights, *outputs[index : index + 2], upstream)
        upstream = upstream * (masks or {}).get(name, 1)
        found |= {f"{name}.{key}": gradient for key, gradient in own.items()}
    return {name: found[name] for name in parameters if name in found}


def _backward(  # noqa: PLR0911 - one return for each kind of layer
    layer: Layer, weights: Arrays, x: Array, y: Array, upstream: Array
) -> tuple[Array, Arrays]:
    """Propagate the gradient through one layer.

    Args:
        layer: The description of the layer.
        weights: The layer's own weights.
        x: The layer's input [N, ...].
        y: The layer's output [N, ...].
        upstream: d loss / dy, of y's shape.

    Returns:
        d loss / dx, of x's shape, and d loss / d weight by the weight's name.
    """
    match layer:
        case layers.Flatten():
            return upstream.reshape(x.shape), {}
        case layers.Dense():
            # y = activation(z) and z = x @ kernel + bias: first the activation's derivative, then the product's.
            dz = upstream * DERIVATIVES[layer.activation](y)
            return dz @ weights["kernel"].T, {"kernel": x.T @ dz, "bias": dz.sum(0)}
        case layers.Conv2D():
            dz = upstream * DERIVATIVES[layer.activation](y)
            kernel = np.einsum("nhwcij,nhwf->ijcf", extract_windows(layer, x, padding_value=0), dz, optimize=True)
            window_gradients = np.einsum("nhwf,ijcf->nhwcij", dz, weights["kernel"], optimize=True)
            return add_windows(layer, window_gradients, x.shape), {"kernel": kernel, "bias": dz.sum((0, 1, 2))}
        case layers.MaxPool2D():
            values = extract_windows(layer, x, padding_value=-np.inf)
            flat = values.reshape(*y.shape, -1)
            # If several values of a window are the largest, the first one gets the whole gradient.
            largest = np.arange(flat.shape[-1]) == flat.argmax(-1)[..., np.newaxis]
            return add_windows(layer, largest.reshape(values.shape) * _broadcastable(upstream), x.shape), {}
        case layers.AveragePool2D():
            inside = ~np.isnan(extract_windows(layer, x, padding_value=np.nan))
            share = inside / inside.sum((-2, -1), keepdims=True)
            return add_windows(layer, share * _broadcastable(upstream), x.shape), {}
        case layers.GlobalAveragePool2D():
            return np.broadcast_to(upstream[:, np.newaxis, np.newaxis] / (x.shape[1] * x.shape[2]), x.shape), {}
        case layers.BatchNorm():
            # Mean and variance depend on every x, so the gradient also flows through them.
            axes = tuple(range(x.ndim - 1))
            deviation = np.sqrt(x.var(axes) + layer.epsilon)
            normal = (x - x.mean(axes)) / deviation
            dx = upstream - upstream.mean(axes) - normal * (upstream * normal).mean(axes)
            own = {"gamma": (upstream * normal).sum(axes), "beta": upstream.sum(axes)}
            return weights["gamma"] / deviation * dx, own
        case layers.Dropout():
            return upstream, {}
    assert_never(layer)


def _broadcastable(upstream: Array) -> Array:
    """Reshape [N, h, w, c] to [N, h, w, c, 1, 1], so that it broadcasts over the values of a window."""
    return upstream[..., np.newaxis, np.newaxis]


def add_windows(layer: Conv2D | MaxPool2D | AveragePool2D, values: Array, shape: Shape) -> Array:
    """Reverse `extract_windows`: add each value of a window to the pixel that it came from.

    Args:
        layer: The layer that slides the window.
        values: [N, h', w', c, window height, window width].
        shape: (N, h, w, c) of the layer's input.

    Returns:
        [N, h, w, c]; values of padded pixels are dropped.
    """
    count, height, width, channels = shape
    (top, bottom), (left, right) = layer.pads(shape[1:])
    padded = np.zeros((count, top + height + bottom, left + width + right, channels))
    (rows, columns), (down, across) = values.shape[1:3], layer.window()[1]
    for i, j in np.ndindex(values.shape[-2:]):
        padded[:, i : i + down * rows : down, j : j + across * columns : across] += values[..., i, j]
    return padded[:, top : top + height, left : left + width]


# Steps --------------------------------------------------------------------


def update(optimizer: Optimizer, parameters: Arrays, step_gradients: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
    """Take one step of an optimiser.

    Returns:
        The new parameters, and the optimiser's new state: `<parameter>.<name>` -> array.
    """
    rate, steps = optimizer.learning_rate, state.get("steps", np.zeros(())) + 1
    moved, kept = dict(parameters), {"steps": steps}
    for name, g in step_gradients.items():
        match optimizer:
            case Sgd():
                v = optimizer.momentum * state.get(f"{name}.v", 0) + g
                direction = g + optimizer.momentum * v if optimizer.nesterov else v
                kept |= {f"{name}.v": v}
            case Adam():
                m = optimizer.beta_1 * state.get(f"{name}.m", 0) + (1 - optimizer.beta_1) * g
                v = optimizer.beta_2 * state.get(f"{name}.v", 0) + (1 - optimizer.beta_2) * g**2
                deviation = np.sqrt(v / (1 - optimizer.beta_2**steps))
                direction = m / (1 - optimizer.beta_1**steps) / (deviation + optimizer.epsilon)
                kept |= {f"{name}.m": m, f"{name}.v": v}
        moved[name] = parameters[name] - rate * optimizer.weight_decay * parameters[name] - rate * direction
    return moved, kept


def update_statistics(network: Network, parameters: Arrays, outputs: list[Array]) -> Arrays:
    """Return the parameters with batch norm's moving averages updated by a batch."""
    moved = dict(parameters)
    for index, layer in enumerate(network.layers):
        if isinstance(layer, layers.BatchNorm):
            x = outputs[index]
            axes, count = tuple(range(x.ndim - 1)), x[..., 0].size
            batch = {"mean": x.mean(axes), "variance": x.var(axes) * count / max(count - 1, 1)}
            for what, new in batch.items():
                name = f"layers.{index}.moving_{what}"
                moved[name] = layer.momentum * parameters[name] + (1 - layer.momentum) * new
    return moved


def step(
    network: Network, parameters: Arrays, batch: Split, optimizer: Optimizer, state: Arrays
) -> tuple[Step, Arrays]:
    """Take one training step; return what it computed and the optimiser's new state."""
    outputs = forward(network, parameters, batch.images)
    step_gradients = gradients(network, parameters, outputs, batch.labels)
    moved, state = update(optimizer, parameters, step_gradients, state)
    return Step(outputs[1:], step_gradients, update_statistics(network, moved, outputs)), state


def epoch(
    network: Network,
    parameters: Arrays,
    data: Split,
    order: NDArray[np.int64],
    batch_size: int,
    optimizer: Optimizer,
    state: Arrays,
) -> tuple[Arrays, Arrays, float, float]:
    """Train one epoch in the given order, including the last, smaller batch.

    Returns:
        The new parameters, the new state, and the loss and accuracy of the training steps, as means over the examples.
    """
    total_loss = correct = 0.0
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = Split(data.images[chosen], data.labels[chosen])
        taken, state = step(network, parameters, batch, optimizer, state)
        loss, accuracy = loss_and_accuracy(taken.outputs[-1], batch.labels)
        total_loss += loss * len(batch)
        correct += accuracy * len(batch)
        parameters = taken.weights
    return parameters, state, total_loss / len(order), round(correct) / len(order)
