"""Which figures of an epoch the command shows: of the test split, else of the validation share, else of training."""

from dataclasses import dataclass
from typing import Any

# The split, the beginning of its fields' names, and where its figures come from in words.
SPLITS = (
    ("test", "test_", "the test split"),
    ("validation", "validation_", "the validation share"),
    ("training", "", "the training split"),
)


@dataclass(frozen=True)
class EpochFigures:
    """The figures of one epoch on one split.

    Attributes:
        split: test, validation or training.
        place: the same in words, such as "the test split".
        loss: the mean loss.
        accuracy: as a fraction.
    """

    split: str
    place: str
    loss: float
    accuracy: float


def choose_figures(epoch: Any) -> EpochFigures:
    """Return the figures of an epoch on the first split that has any. A training that publishes nothing reads no test
    split.

    Args:
        epoch: an entry of a run's `history`.
    """
    for split, prefix, place in SPLITS:
        loss, accuracy = epoch.get(f"{prefix}loss"), epoch.get(f"{prefix}accuracy")
        if loss is not None:
            return EpochFigures(split, place, loss, accuracy)
    raise KeyError("loss")
