"""The seeded data stream: which pictures an epoch shows, and in which order.

Every epoch is drawn from the training's seed and its own number alone, so
that every backend sees the same, and a run that goes on from a checkpoint
sees what an uninterrupted one sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.data.augmentation import Augmentation, augment
from shared.data.splits import Split


@dataclass(frozen=True)
class EpochBatches:
    """One epoch of the stream.

    order: int64 [N]; None lets the framework shuffle by itself.
    images: uint8 [N, H, W, C] to train on; None for the data's own.
    seed: of what the framework draws by itself: dropout's masks, and its own shuffle.
    """

    order: NDArray[np.int64] | None
    images: NDArray[np.uint8] | None = None
    seed: int = 0


def stream(
    data: Split, seed: int, first: int, last: int, shuffle: bool, augmentation: Augmentation | None = None
) -> Iterator[EpochBatches]:
    """The epochs from `first` to `last`, counted from 1.

    Args:
        shuffle: whether the orders are ours; else they are left to the framework.
    """
    for number in range(first, last + 1):
        yield EpochBatches(
            order(seed, number, len(data)) if shuffle else None,
            augment(data.images, augmentation, seed, number) if augmentation else None,
            int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
        )


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of the training examples in an epoch, the same for every backend.

    A permutation of `count` examples from NumPy's PCG64, keyed by seed and
    epoch, so that an epoch's order does not depend on the epochs before it.
    """
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)
