"""Whether a picture is already as MNIST has its pictures: light on dark, scaled into the box, and centred."""

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
    brightest = int(grey.max())
    border = (int(grey[[0, -1]].sum()) + int(grey[:, [0, -1]].sum())) / (2 * (height + width))
    if brightest < MIN_BRIGHTEST or border > MAX_BORDER_MEAN:
        return False
    is_ink = grey > INK_SHARE * brightest
    total = float(grey.sum())
    spans = []
    for axis, size in ((1, height), (0, width)):
        inked = np.flatnonzero(is_ink.any(axis))
        spans.append((int(inked[0]), int(inked[-1])))
        centre = float(grey.sum(axis) @ np.arange(size)) / total
        if abs(centre - size / 2) > MAX_OFFSET * size:
            return False
    sides = [(last - first + 1) / size for (first, last), size in zip(spans, grey.shape, strict=True)]
    has_corners = bool(is_ink[np.ix_(*spans)].all())
    return MIN_SIDE <= max(sides) <= MAX_SIDE and not (has_corners and min(sides) >= MIN_TILE_SIDE)
