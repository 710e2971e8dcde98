"""The interface between Tandem and a framework, in the order of the article.

A backend is a module, `services/<backend>/backend.py`, with the functions of `Backend`. mypy checks each module
against this protocol. Data and weights cross the interface as NumPy arrays only. Models, optimisers and loss functions
are objects of the framework (`Any` here): other code passes them back to the backend and never looks into them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.network.description import Network
from shared.network.optimizers import Optimizer
from shared.network.weights import Arrays, Weights

Precision = Literal["float32", "float64"]
# Probabilities float32 [N, classes]; each row sums to 1.
Probabilities = NDArray[np.float32]
# Images uint8 [N, H, W, C] -> their probabilities. It may be called from several threads at once.
Predictor = Callable[[NDArray[np.uint8]], Probabilities]
# (folder, epoch, figures): write an epoch's figures to an event file in the folder, for TensorBoard.
Events = Callable[[str, int, dict[str, float]], None]


@dataclass(frozen=True)
class Scores:
    """How well a model does on a split.

    Attributes:
        loss: Mean cross-entropy over the examples, in nats.
        accuracy: Share of the examples whose largest logit is that of the label, 0 to 1.
        probabilities: float32 [N, classes], in the order of the split.
    """

    loss: float
    accuracy: float
    probabilities: Probabilities


@dataclass(frozen=True)
class Step:
    """What one training step computed, in the model's precision and with channels last.

    Attributes:
        outputs: Each layer's output [N, ...] in training mode, before the weights change. The last one is the logits.
        gradients: Gradient of the batch's mean loss by canonical name, for each weight that is trained. Moving
            averages of batch norm are not trained and have none.
        weights: All weights after the step, by canonical name.
    """

    outputs: list[NDArray[Any]]
    gradients: Arrays
    weights: Arrays


class Backend(Protocol):
    """The functions that the trainer and the predictor need from a framework.

    Attributes:
        NAME: The backend's name, which is also its folder in `services/`.
    """

    NAME: str

    def versions(self) -> dict[str, str]:
        """Return the framework's packages and their versions."""

    def configure(self, threads: int, device: str, seed: int, tf32: bool = False) -> str:
        """Set threads, device and the framework's random seed. Call it once, before any other function.

        On a GPU, the framework computes the same numbers in each run, and takes memory only as it needs it, so that
        several processes can share the GPU.

        Args:
            threads: Number of threads that one operation may use.
            device: "cpu", "cuda" or "auto". "auto" uses a GPU if there is one.
            seed: Seed for whatever the framework draws itself, such as initial weights.
            tf32: Whether a GPU may round the factors of float32 products to TF32, which keeps 10 of 23 bits. On a CPU
                it has no effect.

        Returns:
            The device in use: "cpu" or "cuda".

        Raises:
            UnavailableError: `device` is "cuda", but there is no GPU. The message names no setting: the caller adds
                its own.
        """

    def load_data(self, found: Dataset, cache: Path, split: SplitName) -> Split:
        """Read one split of a dataset, with the framework's own functions where it has any.

        Datasets that no framework can read are read by `shared.data.datasets.read_uncached`.

        Args:
            found: A dataset whose files `shared.data.datasets.ensure_cached` has put into the cache.
            cache: The folder with the prepared files. It may be read-only.
            split: "train" or "test".

        Returns:
            Images uint8 [N, H, W, C] and labels int64 [N], the same bytes in every backend.
        """

    def define_network(self, network: Network, weights: Weights | None, precision: Precision = "float32") -> Any:
        """Build a model.

        The model takes images uint8 [N, H, W, C], scales them to [0, 1] itself and returns logits [N, classes].

        Args:
            network: The description of the layers.
            weights: Initial weights in the canonical layout, which are copied. None leaves the initial weights to the
                framework.
            precision: dtype of the weights, of all computations and of the logits.

        Returns:
            The framework's model.
        """

    def define_optimizer(self, optimizer: Optimizer, model: Any, state: Arrays | None = None) -> Any:
        """Build an optimiser for the weights of a model.

        Args:
            optimizer: The description of the optimiser.
            model: What `define_network` returned.
            state: What `save_optimizer` of the same backend returned, to continue a training. It is copied.

        Returns:
            The framework's optimiser.
        """

    def define_loss(self) -> Any:
        """Build the loss function: mean cross-entropy of labels int64 [N] and logits [N, classes].

        Call it after `define_network`: the loss has the precision of the model that was built last.
        """

    def train(
        self, model: Any, optimizer: Any, loss_fn: Any, data: Split, batch_size: int, epochs: Iterable[EpochBatches]
    ) -> Iterator[tuple[float, float]]:
        """Train a model, one epoch after the other.

        This is a generator. It takes the next element of `epochs` only when the next result is asked for, so that the
        caller can evaluate and save the model between two epochs.

        Args:
            model: The model whose weights change.
            optimizer: An optimiser of this model.
            loss_fn: What `define_loss` returned.
            data: The examples.
            batch_size: Examples per step. The last batch of an epoch may be smaller; it is not dropped.
            epochs: The order and the images of each epoch.

        Yields:
            (loss, accuracy) of each epoch: means over all its examples, computed from the logits of the training steps.
        """

    def trace(self, model: Any, optimizer: Any, loss_fn: Any, batches: Iterable[Split]) -> Iterator[Step]:
        """Train batch by batch, with the same step function as `train`, and report what each step computed.

        Args:
            model: The model whose weights change.
            optimizer: An optimiser of this model.
            loss_fn: What `define_loss` returned.
            batches: The examples of each step.

        Yields:
            The step's layer outputs, gradients and new weights, as copies.
        """

    def evaluate(self, model: Any, loss_fn: Any, data: Split) -> Scores:
        """Measure a model on a split, without changing it."""

    def save(self, model: Any) -> Weights:
        """Copy the weights of a model into the canonical layout, in the model's precision."""

    def save_optimizer(self, optimizer: Any) -> Arrays:
        """Copy what the optimiser remembers between steps, for `define_optimizer` of the same backend."""

    def serve(self, model: Any) -> Predictor:
        """Return a function that predicts with the model. It is warmed up: the first call is as fast as later ones."""
