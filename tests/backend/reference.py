"""Training in NumPy and float64: what every backend is held against.

It exists to be read and checked by hand, not to be fast, and shares no code
with a backend. The forward pass is that of `shared.reference`; gradients are
written out here, and test_reference.py holds them against finite differences.
It must never import a framework.
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

# dy/dz in terms of y = activation(z); at its kink, a ReLU has the slope of its left side.
SLOPES = {
    None: np.ones_like,
    "relu": lambda y: np.where(y > 0, 1.0, 0.0),
    "leaky_relu": lambda y: np.where(y > 0, 1.0, LEAKY_RELU_SLOPE),
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y**2,
}


def double(weights: Arrays) -> Arrays:
    """A copy in double precision: what follows computes in that of its parameters."""
    return {name: array.astype(np.float64) for name, array in weights.items()}


def log_softmax(logits: Array) -> Array:
    """[N, classes] -> [N, classes]."""
    # The largest logit is subtracted first, so that no exponential overflows.
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def judge(logits: Array, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy."""
    loss = -log_softmax(logits)[np.arange(len(labels)), labels].mean()
    return float(loss), float((logits.argmax(axis=1) == labels).mean())


def evaluate(network: Network, parameters: Arrays, data: Split) -> tuple[float, float, Array]:
    """Mean cross-entropy, accuracy, and probabilities [N, classes]."""
    logits = forward(network, parameters, data.images, training=False)[-1]
    return *judge(logits, data.labels), np.exp(log_softmax(logits))


# Gradients ----------------------------------------------------------------


def gradients(
    network: Network, parameters: Arrays, outputs: list[Array], labels: NDArray[np.int64], masks: Arrays | None = None
) -> Arrays:
    """d mean cross-entropy / d parameter, under the parameter's name and in its shape, in the parameters' order.

    Args:
        outputs: what `forward` gave in training.
        masks: by what a dropout layer multiplied its input, under `layers.<index>`; nothing by default.
    """
    # Softmax and cross-entropy as one: d loss / d logits = (probabilities - one-hot labels) / N.
    upstream = (np.exp(log_softmax(outputs[-1])) - np.eye(outputs[-1].shape[1])[labels]) / len(labels)
    found = {}
    for index, layer in reversed(list(enumerate(network.layers))):
        name = f"layers.{index}"
        weights = {key.split(".")[2]: array for key, array in parameters.items() if key.startswith(f"{name}.")}
        upstream, own = _backward(layer, weights, *outputs[index : index + 2], upstream)
        upstream = upstream * (masks or {}).get(name, 1)
        found |= {f"{name}.{key}": slope for key, slope in own.items()}
    return {name: found[name] for name in parameters if name in found}


def _backward(  # noqa: PLR0911 - one for each kind
    layer: Layer, weights: Arrays, x: Array, y: Array, upstream: Array
) -> tuple[Array, Arrays]:
    """d loss / dy -> d loss / dx, and d loss / d weight."""
    match layer:
        case layers.Flatten():
            return upstream.reshape(x.shape), {}
        case layers.Dense():
            # y = activation(z), z = x @ kernel + bias: back through the activation, then the product.
            dz = upstream * SLOPES[layer.activation](y)
            return dz @ weights["kernel"].T, {"kernel": x.T @ dz, "bias": dz.sum(0)}
        case layers.Conv2D():
            dz = upstream * SLOPES[layer.activation](y)
            kernel = np.einsum("nhwcij,nhwf->ijcf", extract_windows(layer, x, padding_value=0), dz, optimize=True)
            seen = np.einsum("nhwf,ijcf->nhwcij", dz, weights["kernel"], optimize=True)
            return scattered(layer, seen, x.shape), {"kernel": kernel, "bias": dz.sum((0, 1, 2))}
        case layers.MaxPool2D():
            seen = extract_windows(layer, x, padding_value=-np.inf)
            flat = seen.reshape(*y.shape, -1)
            # The first of several largest takes it all.
            largest = np.arange(flat.shape[-1]) == flat.argmax(-1)[..., np.newaxis]
            return scattered(layer, largest.reshape(seen.shape) * _spread(upstream), x.shape), {}
        case layers.AveragePool2D():
            inside = ~np.isnan(extract_windows(layer, x, padding_value=np.nan))
            share = inside / inside.sum((-2, -1), keepdims=True)
            return scattered(layer, share * _spread(upstream), x.shape), {}
        case layers.GlobalAveragePool2D():
            return np.broadcast_to(upstream[:, np.newaxis, np.newaxis] / (x.shape[1] * x.shape[2]), x.shape), {}
        case layers.BatchNorm():
            # The mean and the variance depend on every x, so a part of the slope goes by way of them.
            axes = tuple(range(x.ndim - 1))
            deviation = np.sqrt(x.var(axes) + layer.epsilon)
            normal = (x - x.mean(axes)) / deviation
            slope = upstream - upstream.mean(axes) - normal * (upstream * normal).mean(axes)
            own = {"gamma": (upstream * normal).sum(axes), "beta": upstream.sum(axes)}
            return weights["gamma"] / deviation * slope, own
        case layers.Dropout():
            return upstream, {}
    assert_never(layer)


def _spread(upstream: Array) -> Array:
    """[N, h, w, c] -> [N, h, w, c, 1, 1], to meet every place of a window."""
    return upstream[..., np.newaxis, np.newaxis]


def scattered(layer: Conv2D | MaxPool2D | AveragePool2D, seen: Array, shape: Shape) -> Array:
    """`windows` backwards: [N, h', w', c, kh, kw] is added up where it was seen, [N, h, w, c]; padding is dropped."""
    count, height, width, channels = shape
    (top, bottom), (left, right) = layer.pads(shape[1:])
    padded = np.zeros((count, top + height + bottom, left + width + right, channels))
    (rows, columns), (down, across) = seen.shape[1:3], layer.window()[1]
    for i, j in np.ndindex(seen.shape[-2:]):
        padded[:, i : i + down * rows : down, j : j + across * columns : across] += seen[..., i, j]
    return padded[:, top : top + height, left : left + width]


# Steps --------------------------------------------------------------------


def update(optimizer: Optimizer, parameters: Arrays, slopes: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
    """The parameters after one step, and what the optimiser remembers: `<parameter>.<what>` -> array."""
    rate, steps = optimizer.learning_rate, state.get("steps", np.zeros(())) + 1
    moved, kept = dict(parameters), {"steps": steps}
    for name, g in slopes.items():
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


def statistics(network: Network, parameters: Arrays, outputs: list[Array]) -> Arrays:
    """The parameters with batch norm's moving statistics after a batch."""
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
    """One step of training, and the optimiser's state after it."""
    outputs = forward(network, parameters, batch.images)
    slopes = gradients(network, parameters, outputs, batch.labels)
    moved, state = update(optimizer, parameters, slopes, state)
    return Step(outputs[1:], slopes, statistics(network, moved, outputs)), state


def epoch(
    network: Network,
    parameters: Arrays,
    data: Split,
    order: NDArray[np.int64],
    batch_size: int,
    optimizer: Optimizer,
    state: Arrays,
) -> tuple[Arrays, Arrays, float, float]:
    """One epoch in the given order, the last, smaller batch included.

    Returns:
        The new parameters and state; loss and accuracy as seen on the way: means over the examples.
    """
    total_loss = correct = 0.0
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = Split(data.images[chosen], data.labels[chosen])
        seen, state = step(network, parameters, batch, optimizer, state)
        loss, accuracy = judge(seen.outputs[-1], batch.labels)
        total_loss += loss * len(batch)
        correct += accuracy * len(batch)
        parameters = seen.weights
    return parameters, state, total_loss / len(order), round(correct) / len(order)
