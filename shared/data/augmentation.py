"""Augmentation: each training picture is changed at random in each epoch, the same for every backend."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """Each picture, in each epoch, is moved, turned and scaled a little, by amounts drawn uniformly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: Annotated[float, Field(strict=True, ge=0, le=0.5, description="at most, as a fraction of each side")] = 0.0
    rotate: Annotated[float, Field(strict=True, ge=0, le=180, description="at most, in degrees, either way")] = 0.0
    zoom: Annotated[float, Field(strict=True, ge=0, le=0.5, description="at most, as a fraction, in or out")] = 0.0


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
