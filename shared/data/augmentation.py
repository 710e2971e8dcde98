"""Augmentation: random changes to each training picture in each epoch, the same for every backend.

`shift`, `rotate` and `zoom` alone are one affine map per picture, computed by Pillow. The other amounts imitate how
handwriting differs between people. They are computed by `shared.data.distortion` and `shared.data.drawn_digits`.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from shared.data import distortion, drawn_digits
from shared.errors import InvalidRequestError

CHUNK = 2000  # Pictures that are distorted at a time. It bounds the memory. Another number gives other pictures.


class Augmentation(BaseModel):
    """How much each picture is changed in each epoch. Amounts are drawn uniformly, for each picture anew."""

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
    stretch: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=0.5,
            description="largest change of width and of height, each by itself: 0.2 scales either by 0.8 to 1.2",
        ),
    ] = 0.0
    shear: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=1,
            description="largest slant to either side: 0.2 moves the top by a fifth of its distance from the middle",
        ),
    ] = 0.0
    elastic: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=0.2,
            description="largest smooth displacement of a pixel along each axis, as a fraction of the side",
        ),
    ] = 0.0
    stroke: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=0.1,
            description="how far a bright stroke's edges move outwards at most, as a fraction of the shorter side; "
            "inwards they move at most half as far",
        ),
    ] = 0.0
    fade: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            lt=1,
            description="largest loss of brightness, as a fraction: 0.5 multiplies a picture's pixels by 0.5 to 1",
        ),
    ] = 0.0
    square: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=1,
            description="share of the pictures whose bright drawing is stretched towards equal width and height",
        ),
    ] = 0.0
    drawn: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=1,
            description="share of the pictures that are replaced by digits drawn as strokes, of the same class; "
            "only for grey pictures with the classes 0 to 9",
        ),
    ] = 0.0

    def check(self, shape: tuple[int, ...], classes: tuple[str, ...]) -> None:
        """Check that a dataset can be changed in this way.

        Args:
            shape: of a picture: [H, W, C].
            classes: the dataset's class names.

        Raises:
            InvalidRequestError: `drawn` is set, but the dataset has no grey digits.
        """
        if self.drawn and (shape[-1] != 1 or tuple(classes) != drawn_digits.CLASSES):
            raise InvalidRequestError(
                "augmentation.drawn replaces pictures by drawn digits: it needs grey pictures with the classes 0 to 9"
            )

    @property
    def is_affine(self) -> bool:
        """Whether only `shift`, `rotate` and `zoom` are in use."""
        return self == Augmentation(shift=self.shift, rotate=self.rotate, zoom=self.zoom)


def augment(
    images: NDArray[np.uint8], by: Augmentation, seed: int, epoch: int, labels: NDArray[np.int64] | None = None
) -> NDArray[np.uint8]:
    """Change each picture by random amounts of its own. Pixels from outside the picture are black.

    Args:
        images: uint8 [N, H, W, C]; C is 1 or 3. They are not changed.
        by: the largest amounts.
        seed: the training's seed.
        epoch: the epoch's number. Seed and epoch decide every amount, drawn with NumPy's PCG64.
        labels: int64 [N], the classes; needed only for `drawn`.

    Returns:
        The changed pictures, uint8 [N, H, W, C], interpolated bilinearly.

    Raises:
        ValueError: `drawn` is set, but there are no labels, or the pictures are not grey.
    """
    if by.is_affine:
        return _transform(images, by, seed, epoch)
    # The third number keeps these draws independent of the epoch's order and of the affine maps' draws.
    random = np.random.Generator(np.random.PCG64([seed, epoch, 2]))
    changed = images.copy()
    if by.drawn:
        if labels is None or images.shape[-1] != 1:
            raise ValueError("drawn digits need the pictures' labels, and grey pictures")
        replaced = np.flatnonzero(random.random(len(images)) < by.drawn)
        changed[replaced] = drawn_digits.draw_digits(random, labels[replaced], *images.shape[1:3])
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        changed[part] = _distort(changed[part], by, random)
    return changed


def _distort(images: NDArray[np.uint8], by: Augmentation, random: np.random.Generator) -> NDArray[np.uint8]:
    """Distort the shape of each picture and the width of its strokes: uint8 [N, H, W, C]."""
    count, height, width, _ = images.shape
    side = min(height, width)
    maps = _draw_maps(images, by, random)
    largest = by.elastic * side
    displacements = distortion.draw_displacements(random, count, height, width, largest) if largest else None
    pixels = distortion.warp(images.astype(np.float32), maps, displacements)
    if by.stroke:
        changes = random.uniform(-0.5, 1, count) * by.stroke * side
        pixels = distortion.change_stroke_width(pixels, changes)
    if by.fade:
        shares = np.asarray(1 - by.fade * random.uniform(0, 1, count), np.float32)
        pixels *= shares.reshape(-1, 1, 1, 1)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _draw_maps(images: NDArray[np.uint8], by: Augmentation, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw the affine map of each picture, from a place in the result to the source: float64 [N, 2, 3]."""
    count, height, width, _ = images.shape
    draws = random.uniform(-1, 1, (count, 7))
    zooms = 1 + by.zoom * draws[:, 0]
    widths, heights = zooms * (1 + by.stretch * draws[:, 1]), zooms * (1 + by.stretch * draws[:, 2])
    if by.square:
        # An exponent of 1 makes the drawing's width equal to its height. A third of the exponents are 1.
        exponents = np.where(random.random(count) < by.square, np.minimum(random.uniform(0, 1.5, count), 1), 0)
        wider, higher = distortion.measure_square_stretch(images)
        widths, heights = widths * wider**exponents, heights * higher**exponents
    angles, shears = np.radians(by.rotate) * draws[:, 3], by.shear * draws[:, 4]
    cosines, sines = np.cos(angles), np.sin(angles)
    # result = rotation @ shear @ scale @ source, so source = 1 / scale @ inverse shear @ inverse rotation @ result.
    maps = np.empty((count, 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = (cosines + shears * sines) / widths, (sines - shears * cosines) / widths
    maps[:, 1, 0], maps[:, 1, 1] = -sines / heights, cosines / heights
    maps[:, 0, 2], maps[:, 1, 2] = by.shift * width * draws[:, 5], by.shift * height * draws[:, 6]
    return maps


def _transform(images: NDArray[np.uint8], by: Augmentation, seed: int, epoch: int) -> NDArray[np.uint8]:
    """Shift, rotate and scale each picture by an affine map of its own, with Pillow: uint8 [N, H, W, C]."""
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
