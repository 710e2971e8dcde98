"""A drawing that was cut out of a picture: its strokes are measured, and it is placed on a grid as in MNIST.

The drawing is scaled into a 20 x 20 box, and its centre of mass is placed in the middle of 28 x 28 (Y. LeCun et al.,
Gradient-based learning applied to document recognition, Proc. IEEE 86, 1998, section III.A). Other sizes scale the box.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.data.paper import GreyImage, resize

Coverage = NDArray[Any]  # floating point [h, w], from 0 (paper) to 1 (full ink)

BOX_SHARE = 20 / 28  # Of the result's side: the box that the drawing is scaled into (LeCun et al.).
DETAIL = 4  # How many times larger than the box a drawing is when its strokes are measured.

# Stroke widths, as a share of the drawing's longer side.
MIN_STROKE = 0.08  # Thinner strokes are widened. They would fade when the drawing is reduced to the box.
WIDENED_STROKE = 0.1  # The width that thinner strokes are widened to.


def place_drawing(coverage: Coverage, height: int, width: int) -> GreyImage:
    """Return a drawing white on black on a grid, uint8 [height, width], scaled and centred as in MNIST."""
    return _place_on_grid(_fit_into_box(coverage, height, width), height, width)


def measure_stroke_width(coverage: Coverage) -> float:
    """Return the mean width of a drawing's strokes, as a share of its longer side.

    Across a stroke of width w, the distance to the edge rises from 0 to w / 2 and falls again. So its mean is w / 4.
    The distance transform counts half a pixel more, from the centre of one pixel to the centre of the next.
    """
    ink = np.pad((coverage > 0.5).astype(np.uint8), 1)
    distances = cv2.distanceTransform(ink, cv2.DIST_L2, 3)
    return float(4 * (distances[distances > 0].mean() - 0.5) / max(coverage.shape))


def _fit_into_box(coverage: Coverage, height: int, width: int) -> Coverage:
    """Scale a drawing into the box of a grid [height, width]. Keep its proportions, and widen thin strokes."""
    box = BOX_SHARE * np.array([height, width])
    scale = min(DETAIL * box / coverage.shape)
    if scale < 1:
        coverage = resize(coverage, scale)
        coverage /= max(1e-6, float(np.percentile(coverage[coverage > 0], 90)))
    stroke = measure_stroke_width(coverage)
    if stroke < MIN_STROKE:
        added = round((WIDENED_STROKE - stroke) * max(coverage.shape)) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (added, added))
        coverage = cv2.dilate(np.pad(coverage, added // 2), disc)
    coverage = resize(coverage, min(box / coverage.shape))
    coverage /= coverage.max()
    return coverage


def _place_on_grid(coverage: Coverage, height: int, width: int) -> GreyImage:
    """Place a drawing on a black grid, as uint8 [height, width].

    Its centre of mass comes to height / 2 and width / 2, counted in pixels from 0, as in MNIST (14.0 of 0 to 27). It
    comes less far if a part of the drawing would lie outside.
    """
    grid = np.zeros((height, width), np.uint8)
    rows, columns = coverage.shape
    top = _centred_start(coverage.sum(1), coverage.sum(), height)
    left = _centred_start(coverage.sum(0), coverage.sum(), width)
    grid[top : top + rows, left : left + columns] = np.rint(255 * coverage)
    return grid


def _centred_start(profile: Coverage, total: Any, size: int) -> int:
    """Return the index at which a profile [length] starts on a grid of `size`, so that its centre is in the middle."""
    centre = float((np.arange(len(profile)) * profile).sum() / total)
    return min(max(round(size / 2 - centre), 0), size - len(profile))
