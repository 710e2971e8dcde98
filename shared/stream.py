"""The seeded data stream: which pictures an epoch shows, and in which order.

Every epoch is drawn from the training's seed and its own number alone, so
that every backend sees the same, and a run that goes on from a checkpoint
sees what an uninterrupted one sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from shared import dataset
from shared.dataset import Split


class Augmentation(BaseModel):
    """Each picture, in each epoch, is moved, turned and scaled a little, by amounts drawn uniformly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: Annotated[float, Field(strict=True, ge=0, le=0.5, description="at most, as a fraction of each side")] = 0.0
    rotate: Annotated[float, Field(strict=True, ge=0, le=180, description="at most, in degrees, either way")] = 0.0
    zoom: Annotated[float, Field(strict=True, ge=0, le=0.5, description="at most, as a fraction, in or out")] = 0.0


@dataclass(frozen=True)
class Epoch:
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
) -> Iterator[Epoch]:
    """The epochs from `first` to `last`, counted from 1.

    Args:
        shuffle: whether the orders are ours; else they are left to the framework.
    """
    for number in range(first, last + 1):
        yield Epoch(
            dataset.order(seed, number, len(data)) if shuffle else None,
            augment(data.images, augmentation, seed, number) if augmentation else None,
            int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
        )


def augment(images: NDArray[np.uint8], by: Augmentation, seed: int, epoch: int) -> NDArray[np.uint8]:
    """Pictures uint8 [N, H, W, C], each under an affine map of its own; what comes in from outside is black."""
    count, height, width, channels = images.shape
    draw = np.random.Generator(np.random.PCG64([seed, epoch, 1])).uniform(-1, 1, (count, 4))
    angles, scales = np.radians(by.rotate) * draw[:, 0], 1 + by.zoom * draw[:, 1]
    cosines, sines = np.cos(angles) / scales, np.sin(angles) / scales
    # Pillow asks for the map from a pixel of the result to the source: turn about the centre, then shift.
    x, y = width / 2, height / 2
    offsets_x = x - cosines * x + sines * y + by.shift * width * draw[:, 2]
    offsets_y = y - sines * x - cosines * y + by.shift * height * draw[:, 3]
    maps = np.stack([cosines, -sines, offsets_x, sines, cosines, offsets_y], axis=1).tolist()
    moved = np.empty_like(images)
    pictures = images[..., 0] if channels == 1 else images
    for index, (picture, affine) in enumerate(zip(pictures, maps, strict=True)):
        image = Image.fromarray(picture).transform(
            (width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
        )
        moved[index] = np.asarray(image).reshape(height, width, channels)
    return moved
