"""A third backend, in NumPy only: an example of what a new framework has to provide.

The tests copy this folder to `services/toy`, where it trains, evaluates and serves next to the other backends. It
computes in float64 with the tests' reference implementation and stores its weights in the model's precision.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.backend import Precision, Predictor, Scores, Step
from shared.data import datasets
from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network.description import Network
from shared.network.layers import Dropout
from shared.network.optimizers import Optimizer
from shared.network.reference import forward_layer
from shared.network.weights import Arrays, Weights, initial_weights
from tests.backend import reference

NAME = "toy"
EVALUATION_BATCH_SIZE = 1000

LossFunction = Callable[[NDArray[np.float64], NDArray[np.int64]], tuple[float, float]]
_generators = {"training": np.random.default_rng()}


@dataclass
class Model:
    """A network and its weights."""

    network: Network
    weights: Arrays
    precision: Precision


@dataclass
class StatefulOptimizer:
    """An optimiser and what it remembers between steps."""

    description: Optimizer
    state: Arrays


def versions() -> dict[str, str]:
    """Return NumPy's version."""
    return {"numpy": np.__version__}


def configure(threads: int, device: str, seed: int, tf32: bool = False) -> str:
    """Set the random seed. NumPy has no setting for threads, no GPU, and so no TF32."""
    if device == "cuda":
        raise UnavailableError("NumPy cannot use a GPU")
    _generators["training"] = np.random.default_rng(seed)
    return "cpu"


# 1. Load the data ---------------------------------------------------------


def load_data(found: Dataset, cache: Path, split: SplitName) -> Split:
    """Read one split of a dataset, MNIST files with `np.fromfile`."""
    if found.folder is None:
        return datasets.read_uncached(found, split)
    prefix = cache / found.folder / ("train" if split == "train" else "t10k")
    images = np.fromfile(f"{prefix}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8)
    return Split(images.reshape(-1, *found.shape), labels.astype(np.int64))


# 2. Define the network ----------------------------------------------------


def define_network(network: Network, weights: Weights | None, precision: Precision = "float32") -> Model:
    """Build a model, without weights from a random seed."""
    if weights is None:
        weights = initial_weights(network, int(_generators["training"].integers(2**32)))
    return Model(network, {name: array.astype(precision) for name, array in weights.items()}, precision)


# 3. Define the optimiser and the loss -------------------------------------


def define_optimizer(optimizer: Optimizer, model: Model, state: Arrays | None = None) -> StatefulOptimizer:
    """Build an optimiser; `state` is what `save_optimizer` returned."""
    return StatefulOptimizer(optimizer, dict(state or {}))


def define_loss() -> LossFunction:
    """Return a function from (logits, labels) to the mean cross-entropy and the accuracy."""
    return reference.loss_and_accuracy


# 4. Train -----------------------------------------------------------------


def train(
    model: Model,
    optimizer: StatefulOptimizer,
    loss_fn: LossFunction,
    data: Split,
    batch_size: int,
    epochs: Iterable[EpochBatches],
) -> Iterator[tuple[float, float]]:
    """Train one epoch after the other; yield each one's loss and accuracy."""
    for epoch in epochs:
        _generators["training"] = np.random.default_rng(epoch.seed)
        if epoch.learning_rate is not None:
            changed = {"learning_rate": epoch.learning_rate}
            optimizer.description = optimizer.description.model_copy(update=changed)
        images = data.images if epoch.images is None else epoch.images
        order = _generators["training"].permutation(len(data)) if epoch.order is None else epoch.order
        logits = []
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            outputs, _ = train_step(model, optimizer, Split(images[batch], data.labels[batch]))
            logits.append(outputs[-1])
        yield loss_fn(np.concatenate(logits), data.labels[order])


def train_step(model: Model, optimizer: StatefulOptimizer, batch: Split) -> tuple[list[NDArray[np.float64]], Arrays]:
    """Update the weights with one batch; return each layer's output and the gradients."""
    weights = reference.to_float64(model.weights)
    outputs, masks = forward_with_masks(model.network, weights, batch.images, training=True)
    gradients = reference.gradients(model.network, weights, outputs, batch.labels, masks)
    weights, optimizer.state = reference.update(optimizer.description, weights, gradients, optimizer.state)
    weights = reference.update_statistics(model.network, weights, outputs)
    model.weights = {name: array.astype(model.precision) for name, array in weights.items()}
    return outputs[1:], gradients


def forward_with_masks(
    network: Network, weights: Arrays, images: NDArray[np.uint8], training: bool
) -> tuple[list[NDArray[np.float64]], Arrays]:
    """Compute the outputs as `shared.network.reference.forward` does, but with dropout in training.

    Returns:
        The scaled images followed by each layer's output, and the factors of each dropout layer by `layers.<index>`.
    """
    outputs, masks = [images / 255], {}
    for index, layer in enumerate(network.layers):
        name = f"layers.{index}"
        own = {key.split(".")[2]: array for key, array in weights.items() if key.startswith(f"{name}.")}
        # An exponential may overflow to infinity in a sigmoid; 1 / (1 + infinity) is 0, which is right.
        with np.errstate(over="ignore"):
            outputs.append(forward_layer(layer, own, outputs[-1], training))
        if training and isinstance(layer, Dropout):
            is_kept = _generators["training"].random(outputs[-1].shape) >= layer.rate
            masks[name] = is_kept / (1 - layer.rate)
            outputs[-1] = outputs[-1] * masks[name]
    return outputs, masks


def trace(
    model: Model, optimizer: StatefulOptimizer, loss_fn: LossFunction, batches: Iterable[Split]
) -> Iterator[Step]:
    """Train batch by batch; yield outputs, gradients and weights."""
    for batch in batches:
        outputs, gradients = train_step(model, optimizer, batch)
        yield Step(
            [output.astype(model.precision) for output in outputs],
            {name: gradient.astype(model.precision) for name, gradient in gradients.items()},
            save(model),
        )


# 5. Evaluate --------------------------------------------------------------


def evaluate(model: Model, loss_fn: LossFunction, data: Split) -> Scores:
    """Measure loss, accuracy and probabilities on a split."""
    starts = range(0, len(data), EVALUATION_BATCH_SIZE)
    logits = np.concatenate([forward(model, data.images[start : start + EVALUATION_BATCH_SIZE]) for start in starts])
    return Scores(*loss_fn(logits, data.labels), softmax(logits))


def forward(model: Model, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the logits of a batch, computed as outside training."""
    weights = reference.to_float64(model.weights)
    return forward_with_masks(model.network, weights, images, training=False)[0][-1]


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the probabilities of logits [N, classes]."""
    return np.exp(reference.log_softmax(logits)).astype(np.float32)


# 6. Save, and serve -------------------------------------------------------


def save(model: Model) -> Weights:
    """Copy the weights; the canonical layout is this backend's own."""
    return {name: array.copy() for name, array in model.weights.items()}


def save_optimizer(optimizer: StatefulOptimizer) -> Arrays:
    """Copy what the optimiser remembers between steps."""
    return {name: np.array(array) for name, array in optimizer.state.items()}


def serve(model: Model) -> Predictor:
    """Return a function from images to probabilities. NumPy needs no warm-up."""
    return lambda images: softmax(forward(model, images))
