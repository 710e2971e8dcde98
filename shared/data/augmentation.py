"""Augmentation: random changes to each training picture in each epoch, the same for every backend."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """How much each picture is shifted, rotated and scaled in each epoch. Amounts are drawn uniformly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: Annotated[
        float,
        Field(strict=True, ge=0, le=0.5, description="largest shift in each direction, as a fraction of the side"),
    ] = 0.0
    rotate: Annotated[
        float, Field(strict=True, ge=0, le=180, description="largest rotation in each direction, in degrees")
    ] = 0.0
    zoom: Annotated[
        float,
        Field(strict=True, ge=0, le=0.5, description="largest zoom, as a fraction: 0.1 scales by 0.9 to 1.1"),
    ] = 0.0


def augment(images: NDArray[np.uint8], by: Augmentation, seed: int, epoch: int) -> NDArray[np.uint8]:
    """Transform each picture by an affine map of its own. Pixels from outside the picture are black.

    Args:
        images: uint8 [N, H, W, C]; C is 1 or 3. They are not changed.
        by: the largest amounts.
        seed: the training's seed.
        epoch: the epoch's number. Seed and epoch decide every amount, drawn with NumPy's PCG64.

    Returns:
        The transformed pictures, uint8 [N, H, W, C], interpolated bilinearly.
    """
    count, height, width, channels = images.shape
    # The third number keeps these draws independent of the epoch's order, which has the key [seed, epoch].
    draws = np.random.Generator(np.random.PCG64([seed, epoch, 1])).uniform(-1, 1, (count, 4))
    angles, scales = np.radians(by.rotate) * draws[:, 0], 1 + by.zoom * draws[:, 1]
    cosines, sines = np.cos(angles) / scales, np.sin(angles) / scales
    # Pillow needs the map (a, b, c, d, e, f) from a pixel (x, y) of the result to the source:
    # (a x + b y + c, d x + e y + f). It rotates and scales about the centre, then shifts.
    x, y = width / 2, height / 2
    offsets_x = x - cosines * x + sines * y + by.shift * width * draws[:, 2]
    offsets_y = y - sines * x - cosines * y + by.shift * height * draws[:, 3]
    maps = np.stack([cosines, -sines, offsets_x, sines, cosines, offsets_y], axis=1).tolist()
    transformed = np.empty_like(images)
    pictures = images[..., 0] if channels == 1 else images
    for index, (picture, affine) in enumerate(zip(pictures, maps, strict=True)):
        image = Image.fromarray(picture).transform(
            (width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
        )
        transformed[index] = np.asarray(image).reshape(height, width, channels)
    return transformed
