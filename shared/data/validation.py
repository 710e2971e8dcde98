"""The validation share of a training split: pictures that are held out of training, to choose settings with.

The share is stratified: each class gives the same fraction of its pictures. It depends only on the labels, the share
and the seed, so every backend and every trial of a search holds out the same pictures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.data.splits import Split
from shared.errors import InvalidRequestError


@dataclass(frozen=True)
class HeldOut:
    """A training split in two parts. Each part keeps the order of the split.

    Attributes:
        train: the examples to train on.
        validation: the examples that are held out.
    """

    train: Split
    validation: Split


def hold_out(split: Split, share: float, seed: int) -> HeldOut:
    """Hold a share of a training split out.

    A class of two or more examples has at least one example in each part. A class of one example stays in training.

    Args:
        split: the whole training split.
        share: the fraction that is held out, between 0 and 1.
        seed: decides which examples.

    Raises:
        InvalidRequestError: no class has two examples, so nothing can be held out.
    """
    is_held_out = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        examples = np.flatnonzero(split.labels == label)
        is_held_out[_draw(examples, share, [seed, int(label)])] = True
    if not is_held_out.any():
        raise InvalidRequestError("no class has two training examples, so no validation share can be held out")
    return HeldOut(_select(split, ~is_held_out), _select(split, is_held_out))


def _draw(examples: NDArray[np.int64], share: float, seed: list[int]) -> NDArray[np.int64]:
    """Return which of the examples of one class are held out."""
    count = min(max(1, round(share * len(examples))), len(examples) - 1)
    return np.random.Generator(np.random.PCG64(seed)).permutation(examples)[:count]


def _select(split: Split, is_selected: NDArray[np.bool_]) -> Split:
    return Split(split.images[is_selected], split.labels[is_selected])
