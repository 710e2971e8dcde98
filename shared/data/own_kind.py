"""Whether a picture is already as MNIST has its pictures: light on dark, scaled into the box, and centred."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# The limits are wider than what MNIST's 70,000 pictures have, which the comments state.
MAX_BORDER_MEAN = 30  # Grey levels: of the pixels on the edge. MNIST's highest mean is 8.6.
MIN_BRIGHTEST = 128  # Grey levels. Nearly all of MNIST's pictures have 250 and more.
INK_SHARE = 0.25  # Of the brightest pixel: brighter pixels are ink.
MIN_SIDE, MAX_SIDE = 0.4, 22 / 28  # Of the picture's side: the longer side of the ink. MNIST has 14 to 20 of 28.
MIN_TILE_SIDE = 6 / 28  # Of the picture's side: a wider shape with all corners of its box is a sheet on a dark table.
MAX_OFFSET = 4 / 28  # Of the picture's side: how far the centre of mass is from the middle. MNIST has 0.52 of 28.


def is_own_kind(grey: NDArray[np.uint8]) -> bool:
    """Return whether a picture in grey, uint8 [h, w], is light on dark, scaled and centred as MNIST's are."""
    height, width = grey.shape
    values = grey.astype(np.float64)  # whose sums are exact: they stay below 2**53
    by_row = values.dot(_moment_weights(width))  # [h, 2]
    by_column = _moment_weights(height).T.dot(values)  # [2, w]
    row_maxima, column_maxima = np.maximum.reduce(grey, 1).tolist(), np.maximum.reduce(grey, 0).tolist()
    brightest = max(row_maxima)
    border = float(by_row[0, 0] + by_row[-1, 0] + by_column[0, 0] + by_column[0, -1]) / (2 * (height + width))
    if brightest < MIN_BRIGHTEST or border > MAX_BORDER_MEAN:
        return False
    (total, moment_x), (moment_y, _) = _moment_weights(height).T.dot(by_row).tolist()
    if (
        abs(moment_y / total - height / 2) > MAX_OFFSET * height
        or abs(moment_x / total - width / 2) > MAX_OFFSET * width
    ):
        return False
    ink_level = INK_SHARE * brightest
    top, bottom = _find_span(row_maxima, ink_level)
    left, right = _find_span(column_maxima, ink_level)
    sides = (bottom - top + 1) / height, (right - left + 1) / width
    corners = grey[top, left], grey[top, right], grey[bottom, left], grey[bottom, right]
    has_corners = all(corner > ink_level for corner in corners)
    return MIN_SIDE <= max(sides) <= MAX_SIDE and not (has_corners and min(sides) >= MIN_TILE_SIDE)


@lru_cache(maxsize=64)
def _moment_weights(size: int) -> NDArray[np.float64]:
    """Return float64 [size, 2]. A product with values gives their sum, and their sum weighted by the position."""
    return np.stack([np.ones(size), np.arange(size)], axis=1)


def _find_span(maxima: list[int], level: float) -> tuple[int, int]:
    """Return the first and the last position whose value is larger than the level. There is at least one."""
    positions = [position for position, value in enumerate(maxima) if value > level]
    return positions[0], positions[-1]
