"""Which values of a picture with more than 8 bits are black and white.

Files of 16 and 32 bits rarely say which of their values is white: the 12 bits of a camera are stored in 16, and numbers
from 0 to 1 are stored as floating point. So the values themselves decide, for each picture alone. A picture becomes
the same pixels in a dataset and in a prediction, whatever else the dataset holds. ADR 23 says more.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

BAND_PIXELS = 2**20  # How many pixels are looked at once, so that no second copy of a large picture is made.

# The largest values of the usual numbers of bits: 8, 10, 12, 14, 16, 24 and 31. The smallest one that is not less than
# the picture's largest value is white.
WHITE_LEVELS = (255, 1023, 4095, 16_383, 65_535, 2**24 - 1, 2**31 - 1)
# Floating point from 0 to 1 has its white at 1. If the largest value is between 1 and this one, it is white itself,
# because it belongs to no usual range.
SMALL_FLOAT = 16.0
FULL_SCALE = 65_535  # White of 16 bits, also for a picture of noise.
MAX_DEVIATION = 0.275  # Of the largest value: a picture whose standard deviation is larger is no blank sheet.
MIN_SAMPLE = 400  # Pixels: the largest value of fewer pixels of noise may be less than four standard deviations.
MIN_CORRELATION = 0.25  # Of neighbours, in one of four directions: a picture with less is noise.


class ValueRange(NamedTuple):
    """The values that become 0 and 255."""

    black: float
    white: float


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture has integers of more than 8 bits, or floating point."""
    return image.mode == "F" or image.mode.startswith("I")


def find_range(image: Image.Image) -> ValueRange:
    """Return which values of a deep picture are black and white.

    Raises:
        ValueError: the picture has values that are no numbers, or negative integers.
    """
    extrema = [(float(band.min()), float(band.max())) for band in _bands_of(image)]
    smallest, largest = min(low for low, _ in extrema), max(high for _, high in extrema)
    if not np.isfinite((smallest, largest)).all():
        raise ValueError("it has values that are no numbers: save it with 8 or 16 bits")
    if image.mode != "F" and smallest < 0:
        raise ValueError("it has negative values, or values of 32 bits: save it with 8 or 16 bits")
    if image.mode.startswith("I;16") and not any((band % 257).any() for band in _bands_of(image)):
        return ValueRange(0, FULL_SCALE)  # It was made from 8 bits.
    if image.mode == "F" and smallest < 0:
        return ValueRange(smallest, max(largest, smallest + 1e-6))
    if image.mode == "F" and largest <= 1:
        return ValueRange(0, 1)
    if largest <= FULL_SCALE and _is_noise(image, largest):
        return ValueRange(0, 255 if image.mode == "F" and largest <= 255 else FULL_SCALE)
    if image.mode == "F" and largest < SMALL_FLOAT:
        return ValueRange(0, largest)
    return ValueRange(0, next((level for level in WHITE_LEVELS if largest <= level), largest))


def _is_noise(image: Image.Image, largest: float) -> bool:
    """Return whether a picture is a blank sheet with noise: neighbours are not alike, and few values are large.

    A dark sheet with noise has small values, as a picture of 12 bits has. Scaling would turn its noise into ink.
    """
    variance, covariances = 0.0, np.zeros(4)
    for band in _bands_of(image):
        values = band.astype(np.float64) - float(band.mean())
        variance += float((values**2).sum())
        neighbours = (
            (values[:, 1:], values[:, :-1]),
            (values[1:], values[:-1]),
            (values[1:, 1:], values[:-1, :-1]),
            (values[1:, :-1], values[:-1, 1:]),
        )
        covariances += [float((first * second).sum()) for first, second in neighbours]
    if covariances.max() > MIN_CORRELATION * variance:
        return False
    pixels = image.width * image.height
    return bool(pixels < MIN_SAMPLE or (variance / pixels) ** 0.5 < MAX_DEVIATION * largest)


def _bands_of(image: Image.Image) -> Iterator[np.ndarray]:
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))


def scale_to_eight_bits(image: Image.Image, values: ValueRange) -> Image.Image:
    """Return a deep picture in grey with 8 bits."""
    scaled = (np.asarray(image).astype(np.float64) - values.black) * (255 / (values.white - values.black))
    return Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8))
