"""Random examples for the tests: small networks with every kind of layer, optimisers, weights and images."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.data.datasets import Split
from shared.network.description import Network
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
    Shape,
)
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import Weights

# Few examples and no deadline, because a framework may need a second to build a graph. The examples are the same in
# every run, so that a failure can be reproduced.
few = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)

ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh")


def _layer(shape: Shape, chance: Random) -> Layer:
    """Choose a layer that fits the shape of its input. Layers with weights are chosen more often."""
    pictures = [_convolution, _convolution, _max_pool, _average_pool, _norm, _without_effect]
    return chance.choice(pictures if len(shape) == 3 else [_dense, _dense, _norm, _without_effect])(shape, chance)


def _window(shape: Shape, chance: Random) -> dict[str, Any]:
    """Choose a window that fits. With `same` padding it may be larger than the image."""
    padding = chance.choice(["valid", "same"])
    size = [chance.randint(1, 4 if padding == "same" else min(side, 4)) for side in shape[:2]]
    return {"padding": padding, "size": tuple(size), "strides": tuple(chance.choices([1, 1, 2, 3], k=2))}


def _convolution(shape: Shape, chance: Random) -> Layer:
    window = _window(shape, chance)
    size, activation = window.pop("size"), chance.choice(ACTIVATIONS)
    return Conv2D(filters=chance.randint(1, 4), kernel_size=size, activation=activation, **window)


def _max_pool(shape: Shape, chance: Random) -> Layer:
    window = _window(shape, chance)
    return MaxPool2D(pool_size=window.pop("size"), **window)


def _average_pool(shape: Shape, chance: Random) -> Layer:
    window = _window(shape, chance)
    return AveragePool2D(pool_size=window.pop("size"), **window)


def _norm(shape: Shape, chance: Random) -> Layer:
    # The values of a channel may be almost equal in a small batch. A small epsilon would then magnify their rounding.
    return BatchNorm(momentum=chance.choice([0.9, 0.5, 0.0]), epsilon=chance.choice([1e-3, 1e-2]))


def _without_effect(shape: Shape, chance: Random) -> Layer:
    # Dropout's masks differ between frameworks, so only a rate of 0 can be compared.
    return chance.choice([Dropout(rate=0), Flatten()]) if len(shape) == 1 else Dropout(rate=0)


def _vector(shape: Shape, chance: Random) -> Layer:
    return chance.choice([Flatten(), GlobalAveragePool2D()])


def _dense(shape: Shape, chance: Random) -> Layer:
    return Dense(units=chance.randint(1, 8), activation=chance.choice(ACTIVATIONS))


def random_network(chance: Random, shape: Shape | None = None, classes: int | None = None) -> Network:
    """Return a network of up to four layers for images, one that makes vectors, up to three for vectors, and logits."""
    shape = shape or (chance.randint(1, 9), chance.randint(1, 9), chance.choice([1, 3]))
    network: dict[str, Any] = {"input_shape": shape, "layers": []}
    for draws in ([_layer] * chance.randint(1, 4), [_vector], [_layer] * chance.randint(0, 3)):
        for draw in draws:
            layer = draw(shape, chance)
            network["layers"].append(layer)
            shape = layer.output_shape(shape)
    network["layers"].append(Dense(units=classes or chance.randint(2, 8)))
    return Network.model_validate(network)


def random_optimizer(chance: Random, network: Network) -> Optimizer:
    """Return an optimiser with a small learning rate: a training that diverges would magnify any rounding.

    Adam divides a gradient by its own size. The gradient of a bias before batch norm should be 0, but it is rounding
    noise in practice. Adam would turn this noise into steps of any direction, unless epsilon is far larger.
    """
    normed = any(isinstance(layer, BatchNorm) for layer in network.layers)
    decay = chance.choice([0.0, 0.1])
    if chance.random() < 0.5:
        return Adam(
            learning_rate=chance.choice([0.001, 0.003]),
            beta_1=chance.choice([0.9, 0.5]),
            beta_2=chance.choice([0.999, 0.9]),
            epsilon=chance.choice([1e-5 if normed else 1e-8, 1e-3]),
            weight_decay=decay,
        )
    momentum = chance.choice([0.0, 0.9, 0.7])
    nesterov = momentum > 0 and chance.random() < 0.5
    return Sgd(learning_rate=chance.choice([0.01, 0.03]), momentum=momentum, nesterov=nesterov, weight_decay=decay)


class Example(NamedTuple):
    """A network, an optimiser, and a seed for its weights and its data."""

    network: Network
    optimizer: Optimizer
    seed: int


def examples() -> st.SearchStrategy[Example]:
    """Return a strategy of random examples.

    Each example is derived from a single random number. Hypothesis likes to repeat parts of earlier draws, and with
    several draws per example half of the networks would be duplicates.
    """

    def example(seed: int) -> Example:
        chance = Random(seed)
        network = random_network(chance)
        return Example(network, random_optimizer(chance, network), seed)

    return st.integers(0, 2**32 - 1).map(example)


def options(network: Network, optimizer: Optimizer) -> Iterator[str]:
    """Yield what an example tests, such as "conv2d with strides"."""
    for layer, before in zip(network.layers, network.shapes, strict=False):
        yield layer.kind
        match layer:
            case Conv2D() | MaxPool2D() | AveragePool2D():
                (height, width), strides = layer.window()
                yield f"{layer.kind} padded as {layer.padding}"
                if strides != (1, 1):
                    yield f"{layer.kind} with strides"
                if height != width:
                    yield f"{layer.kind} not square"
            case BatchNorm():
                yield "batch_norm of pictures" if len(before) == 3 else "batch_norm of vectors"
        if isinstance(layer, Conv2D | Dense):
            yield f"{layer.kind} with {layer.activation}"
    yield optimizer.name
    match optimizer:
        case Sgd(nesterov=True):
            yield "nesterov"
        case Sgd(momentum=momentum):
            yield "momentum" if momentum else "no momentum"
    if optimizer.weight_decay:
        yield f"{optimizer.name} with weight decay"


OPTIONS = {
    *("flatten", "dense", "global_average_pool2d", "batch_norm", "dropout"),
    *("batch_norm of pictures", "batch_norm of vectors"),
    *(
        f"{kind}{what}"
        for kind in ("conv2d", "max_pool2d", "average_pool2d")
        for what in ("", " padded as valid", " padded as same", " with strides", " not square")
    ),
    *(f"{kind} with {activation}" for kind in ("conv2d", "dense") for activation in ACTIVATIONS),
    *("sgd", "no momentum", "momentum", "nesterov", "sgd with weight decay", "adam", "adam with weight decay"),
}


def random_weights(network: Network, seed: int) -> Weights:
    """Return kernels of variance 1 / inputs, and normally distributed biases.

    No weight is 0, so that a test notices a weight that is not used. Batch norm's gammas are about 1, and its variances
    are positive.
    """
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in network.parameter_shapes.items():
        normal = generator.normal(size=shape)
        match name.rsplit(".", maxsplit=1)[-1]:
            case "kernel":
                normal /= np.sqrt(np.prod(shape[:-1]))
            case "gamma":
                normal = 1 + 0.3 * normal
            case "moving_variance":
                normal = np.exp(normal)
        weights[name] = normal.astype(np.float32)
    return weights


def random_split(network: Network, count: int, seed: int) -> Split:
    """Return random images uint8 and random labels."""
    generator = np.random.default_rng(seed)
    return Split(
        generator.integers(0, 256, (count, *network.input_shape), np.uint8),
        generator.integers(0, network.output_shape[0], count),
    )
