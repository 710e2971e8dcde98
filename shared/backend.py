"""The interface that every framework implements, in the order of the article.

A backend is a module, `services/<backend>/backend.py`, that offers these
functions: mypy holds the module against `Backend`. NumPy goes in and NumPy
comes out; a model, an optimiser and a loss are the framework's own objects,
which only their backend looks into.
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
Probabilities = NDArray[np.float32]
Predictor = Callable[[NDArray[np.uint8]], Probabilities]
# Adds the figures of an epoch to a folder for TensorBoard: what a framework's own writer does, where it has one.
Events = Callable[[str, int, dict[str, float]], None]


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy; accuracy: fraction; probabilities: float32 [N, classes]."""

    loss: float
    accuracy: float
    probabilities: Probabilities


@dataclass(frozen=True)
class Step:
    """What one training step computed, in the model's precision and the canonical layout.

    outputs: what each layer gave, [N, ...], channels last; the last are the logits.
    gradients: of the mean loss, by the names of what is trained; weights: all, after the step.
    """

    outputs: list[NDArray[Any]]
    gradients: Arrays
    weights: Arrays


class Backend(Protocol):
    """What `shared.trainer` and `shared.predictor` need of a framework."""

    NAME: str

    def versions(self) -> dict[str, str]:
        """The framework's packages and their versions."""

    def configure(self, threads: int, device: str, seed: int) -> str:
        """Set threads, device and the framework's own seed, before anything runs.

        Args:
            device: "cpu", "cuda" or "auto".

        Returns:
            The device used: "cpu" or "cuda".

        Raises:
            UnavailableError: "cuda" was asked for and there is none.
        """

    def load_data(self, found: Dataset, cache: Path, split: SplitName) -> Split:
        """Read a prepared dataset from the cache folder, in the framework's own idiom.

        One that no framework knows is read by `dataset.read_neutral`.
        """

    def define_network(self, network: Network, weights: Weights | None, precision: Precision = "float32") -> Any:
        """Build a model; without weights it starts as the framework starts it.

        The model takes uint8 [N, H, W, C], scales to [0, 1] and gives logits
        in the precision, in which it also keeps its weights.
        """

    def define_optimizer(self, optimizer: Optimizer, model: Any, state: Arrays | None = None) -> Any:
        """The framework's optimiser over the model's parameters, which goes on from a state that was saved."""

    def define_loss(self) -> Any:
        """Mean cross-entropy of int64 labels [N] and logits [N, classes]; made after the model, in its precision."""

    def train(
        self, model: Any, optimizer: Any, loss: Any, data: Split, batch_size: int, epochs: Iterable[EpochBatches]
    ) -> Iterator[tuple[float, float]]:
        """Train epoch by epoch; an epoch is taken from the stream when it begins.

        Yields:
            (loss, accuracy) of the epoch: example-weighted means over its batches.
        """

    def trace(self, model: Any, optimizer: Any, loss: Any, batches: Iterable[Split]) -> Iterator[Step]:
        """Train batch by batch, with the very step that `train` takes, and show what it computed."""

    def evaluate(self, model: Any, loss: Any, data: Split) -> Evaluation:
        """Hold the model against a split."""

    def save(self, model: Any) -> Weights:
        """The model's weights in the canonical layout; a copy."""

    def save_optimizer(self, optimizer: Any) -> Arrays:
        """What the optimiser remembers between steps, for `define_optimizer` of the same backend."""

    def serve(self, model: Any) -> Predictor:
        """uint8 [N, H, W, C] -> probabilities float32 [N, classes], warm and ready."""
