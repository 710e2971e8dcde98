"""The interface that every framework implements, in the order of the article.

A backend is a module, `services/<backend>/backend.py`, that offers these
functions: mypy holds the module against `Backend`. NumPy goes in and NumPy
comes out; a model, an optimiser and a loss are the framework's own objects,
which only their backend looks into.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from shared.dataset import Dataset, Split, SplitName
from shared.network import Network
from shared.weights import Weights

Probabilities = NDArray[np.float32]
Predictor = Callable[[NDArray[np.uint8]], Probabilities]


class Optimizer(BaseModel):
    """A framework-neutral description: plain stochastic gradient descent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sgd"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.01


class Evaluation:
    """loss: mean cross-entropy; accuracy: fraction; probabilities: float32 [N, classes]."""

    def __init__(self, loss: float, accuracy: float, probabilities: Probabilities) -> None:
        self.loss, self.accuracy, self.probabilities = loss, accuracy, probabilities


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

    def define_network(self, network: Network, weights: Weights | None) -> Any:
        """Build a model; without weights it starts as the framework starts it.

        The model takes uint8 [N, H, W, C], scales to [0, 1] and gives logits.
        """

    def define_optimizer(self, optimizer: Optimizer, model: Any) -> Any:
        """The framework's optimiser over the model's parameters."""

    def define_loss(self) -> Any:
        """Mean cross-entropy of int64 labels [N] and logits [N, classes]."""

    def train(
        self,
        model: Any,
        optimizer: Any,
        loss: Any,
        data: Split,
        batch_size: int,
        orders: Iterable[NDArray[np.int64] | None],
    ) -> Iterator[tuple[float, float]]:
        """Train one epoch per order; None lets the framework shuffle by itself.

        Yields:
            (loss, accuracy) of the epoch: example-weighted means over its batches.
        """

    def evaluate(self, model: Any, loss: Any, data: Split) -> Evaluation:
        """Hold the model against a split."""

    def save(self, model: Any) -> Weights:
        """The model's weights in the canonical layout."""

    def serve(self, model: Any) -> Predictor:
        """uint8 [N, H, W, C] -> probabilities float32 [N, classes], warm and ready."""
