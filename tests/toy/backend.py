"""A third backend, in NumPy alone: what it takes to add a framework, and nothing else.

Copied to `services/toy` it trains, evaluates and serves beside the others.
Its mathematics is the tests' reference: it computes in double precision and
keeps its weights in the model's.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.backend import Scores, Precision, Predictor, Step
from shared.data import datasets
from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network.description import Network
from shared.network.layers import Dropout
from shared.network.optimizers import Optimizer
from shared.network.reference import output as output_of  # a layer at a time, for dropout to come in between
from shared.network.weights import Arrays, Weights, initial_weights
from tests.backend import reference

NAME = "toy"
EVALUATION_BATCH = 1000

Loss = Callable[[NDArray[np.float64], NDArray[np.int64]], tuple[float, float]]
_chance = [np.random.default_rng()]


@dataclass
class Model:
    network: Network
    weights: Arrays
    precision: Precision


@dataclass
class Rule:
    """An optimiser and what it remembers."""

    optimizer: Optimizer
    state: Arrays


def versions() -> dict[str, str]:
    return {"numpy": np.__version__}


def configure(threads: int, device: str, seed: int) -> str:
    if device == "cuda":
        raise UnavailableError("TANDEM_DEVICE=cuda, but NumPy knows no GPU")
    _chance[0] = np.random.default_rng(seed)
    return "cpu"


# 1. Load the data ---------------------------------------------------------


def load_data(found: Dataset, cache: Path, split: SplitName) -> Split:
    if found.folder is None:
        return datasets.read_neutral(found, split)
    kind = cache / found.folder / ("train" if split == "train" else "t10k")
    images = np.fromfile(f"{kind}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(f"{kind}-labels-idx1-ubyte", np.uint8, offset=8)
    return Split(images.reshape(-1, *found.shape), labels.astype(np.int64))


# 2. Define the network ----------------------------------------------------


def define_network(network: Network, weights: Weights | None, precision: Precision = "float32") -> Model:
    if weights is None:
        weights = initial_weights(network, int(_chance[0].integers(2**32)))
    return Model(network, {name: array.astype(precision) for name, array in weights.items()}, precision)


# 3. Define the optimiser and the loss -------------------------------------


def define_optimizer(optimizer: Optimizer, model: Model, state: Arrays | None = None) -> Rule:
    return Rule(optimizer, dict(state or {}))


def define_loss() -> Loss:
    return reference.judge


# 4. Train -----------------------------------------------------------------


def train(
    model: Model, optimizer: Rule, loss: Loss, data: Split, batch_size: int, epochs: Iterable[EpochBatches]
) -> Iterator[tuple[float, float]]:
    for epoch in epochs:
        _chance[0] = np.random.default_rng(epoch.seed)
        images = data.images if epoch.images is None else epoch.images
        order = _chance[0].permutation(len(data)) if epoch.order is None else epoch.order
        logits = []
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            outputs, _ = _step(model, optimizer, Split(images[batch], data.labels[batch]))
            logits.append(outputs[-1])
        yield loss(np.concatenate(logits), data.labels[order])


def _step(model: Model, rule: Rule, batch: Split) -> tuple[list[NDArray[np.float64]], Arrays]:
    """One step: every layer's output, and the gradients."""
    weights = reference.double(model.weights)
    outputs, masks = _forward(model.network, weights, batch.images, training=True)
    slopes = reference.gradients(model.network, weights, outputs, batch.labels, masks)
    weights, rule.state = reference.update(rule.optimizer, weights, slopes, rule.state)
    weights = reference.statistics(model.network, weights, outputs)
    model.weights = {name: array.astype(model.precision) for name, array in weights.items()}
    return outputs[1:], slopes


def _forward(
    network: Network, weights: Arrays, images: NDArray[np.uint8], training: bool
) -> tuple[list[NDArray[np.float64]], Arrays]:
    """The scaled pictures and every layer's output; and by what dropout multiplied."""
    outputs, masks = [images / 255], {}
    for index, layer in enumerate(network.layers):
        name = f"layers.{index}"
        own = {key.split(".")[2]: array for key, array in weights.items() if key.startswith(f"{name}.")}
        # The sigmoid of a large number is 1 / (1 + infinity), which is as it should be.
        with np.errstate(over="ignore"):
            outputs.append(output_of(layer, own, outputs[-1], training))
        if training and isinstance(layer, Dropout):
            kept = _chance[0].random(outputs[-1].shape) >= layer.rate
            masks[name] = kept / (1 - layer.rate)
            outputs[-1] = outputs[-1] * masks[name]
    return outputs, masks


def trace(model: Model, optimizer: Rule, loss: Loss, batches: Iterable[Split]) -> Iterator[Step]:
    for batch in batches:
        outputs, slopes = _step(model, optimizer, batch)
        yield Step(
            [output.astype(model.precision) for output in outputs],
            {name: slope.astype(model.precision) for name, slope in slopes.items()},
            save(model),
        )


# 5. Evaluate --------------------------------------------------------------


def evaluate(model: Model, loss: Loss, data: Split) -> Scores:
    logits = np.concatenate(
        [
            _logits(model, data.images[start : start + EVALUATION_BATCH])
            for start in range(0, len(data), EVALUATION_BATCH)
        ]
    )
    return Scores(*loss(logits, data.labels), _probabilities(logits))


def _logits(model: Model, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return _forward(model.network, reference.double(model.weights), images, training=False)[0][-1]


def _probabilities(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.exp(reference.log_softmax(logits)).astype(np.float32)


# 6. Save, and serve -------------------------------------------------------


def save(model: Model) -> Weights:
    return {name: array.copy() for name, array in model.weights.items()}


def save_optimizer(optimizer: Rule) -> Arrays:
    return {name: np.array(array) for name, array in optimizer.state.items()}


def serve(model: Model) -> Predictor:
    return lambda images: _probabilities(_logits(model, images))
