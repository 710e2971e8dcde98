"""The pictures that each epoch trains on, and their order. With shared pairing, every backend gets the same order.

An epoch depends only on the training's seed and on the epoch's number. So every backend sees the same data, and a run
that resumes from a checkpoint sees what an uninterrupted run sees.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.data.augmentation import Augmentation, augment
from shared.data.splits import Split


@dataclass(frozen=True)
class EpochBatches:
    """What one epoch trains on.

    Attributes:
        order: int64 [N], the order of the examples; None if the framework shuffles by itself.
        images: uint8 [N, H, W, C], the augmented pictures; None if the dataset's own are used.
        seed: the seed for what the framework draws: dropout masks, and its own shuffling. From 0 to 2**32 - 1.
        learning_rate: the epoch's own learning rate; None if every epoch has the optimiser's.
    """

    order: NDArray[np.int64] | None
    images: NDArray[np.uint8] | None = None
    seed: int = 0
    learning_rate: float | None = None


def generate_epochs(
    data: Split,
    seed: int,
    first: int,
    last: int,
    is_order_shared: bool,
    augmentation: Augmentation | None = None,
    learning_rate: Callable[[int], float] | None = None,
) -> Iterator[EpochBatches]:
    """Generate the epochs from `first` to `last`, which are counted from 1. Each is drawn when it is requested.

    Args:
        data: the training split.
        seed: the training's seed.
        first: number of the first epoch.
        last: number of the last epoch.
        is_order_shared: whether to draw the order of each epoch here, for all backends; if not, each framework
            shuffles by itself.
        augmentation: how pictures are changed at random; None to leave them as they are.
        learning_rate: returns the learning rate of an epoch, given its number; None if the rate does not change.

    Yields:
        What each epoch trains on.
    """
    for number in range(first, last + 1):
        yield EpochBatches(
            draw_order(seed, number, len(data)) if is_order_shared else None,
            augment(data.images, augmentation, seed, number, data.labels) if augmentation else None,
            int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
            learning_rate(number) if learning_rate else None,
        )


def draw_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of the training examples in an epoch: a permutation of `count` examples, int64 [count].

    It comes from NumPy's PCG64, seeded with the training's seed and the epoch's number. So it does not depend on the
    epochs before it.
    """
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)
