"""Find a drawing in a picture, cut it out, and place it white on black, as in MNIST.

Photographs and scans are dark on light or light on dark, unevenly lit and noisy, and the drawing may be anywhere.
`cut_out_ink` works in these steps:

1. Decide whether the ink is darker or lighter than the paper.
2. Divide by the brightness of the paper, which removes light and shadow.
3. Separate ink from paper with Otsu's threshold (N. Otsu, A threshold selection method from gray-level histograms,
   IEEE Trans. SMC 9, 1979).
4. Keep the largest shape.
5. Scale it into a 20 x 20 box and place its centre of mass in the middle of 28 x 28 (Y. LeCun et al., Gradient-based
   learning applied to document recognition, Proc. IEEE 86, 1998, section III.A). Other sizes scale the box.

ADR 12 gives the reasons. This module decodes no files. It needs OpenCV, so it is imported only where ink is prepared.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

GreyImage = NDArray[np.uint8]  # [h, w], 0 is black and 255 is white
Mask = NDArray[np.uint8]  # [h, w], 1 inside and 0 outside
Coverage = NDArray[Any]  # floating point [h, w], from 0 (paper) to 1 (full ink)

# Sizes at which a picture is examined.
SEARCH_SIDE = 512  # Pixels: the drawing is looked for in a picture whose longer side is at most this long.
PAPER_SIDE = 64  # Pixels: the paper's brightness is taken from a picture whose longer side is at most this long.

# The paper's brightness.
SURFACE_ROUNDS = 4  # How often the paper's surface is fitted, each time without the pixels found darker before.
CLOSING_WINDOW = 0.4  # Of the longer side: a stroke must be narrower than this window, or it is taken for paper.
POLARITY_BLUR = 0.12  # Of the longer side: standard deviation of the Gaussian that gives the local mean.

# Which darkness is ink. Darkness is measured from 0 (as bright as the paper) to 255.
MIN_INK_DARKNESS = 20  # A pixel with less darkness than this is never ink.
SURE_INK_DARKNESS = 100  # A pixel with more darkness than this may be ink, however high the noise is.
MIN_INK_TO_NOISE = 5.0  # A pixel whose darkness is less than this many standard deviations of the noise is no ink.
NOISE_DISTANCE = 4  # Pixels: how far the compared pixels are apart. Cameras and JPEG make closer ones alike.

# Which pieces of ink are the drawing.
MIN_SHAPE_AREA = 1e-4  # Of the picture's area: a piece that is smaller is no drawing.
MAX_GAP = 0.16  # Of the largest piece's longer side: pieces with a smaller gap between them belong together.
DIRT_AREA = 0.02  # Of the largest piece's area: smaller pieces are dirt and are left out.
RIVAL_AREA = 0.25  # Of the largest shape's area: larger shapes are counted as further drawings.
MAX_EDGE_CONTACT = 0.5  # Of a piece's longer side: with more pixels on the picture's edge, it is a table or a shadow.

# The size of the result.
BOX_SHARE = 20 / 28  # Of the result's side: the box that the drawing is scaled into (LeCun et al.).
DETAIL = 4  # How many times larger than the box a drawing is when its strokes are measured.

# Stroke widths, as a share of the drawing's longer side.
MIN_STROKE = 0.08  # Thinner strokes are widened. They would fade when the drawing is reduced to the box.
WIDENED_STROKE = 0.1  # The width that thinner strokes are widened to.
MAX_STROKE_DARK = 0.3  # Wider "strokes" of dark ink may be a dark background: the opposite polarity is tried.
MAX_STROKE_LIGHT = 0.25  # Wider "strokes" of light ink may be a sheet on a dark table: the opposite polarity is tried.
THINNER_STROKE = 0.6  # The opposite polarity is used if its strokes are less than this many times as wide.

cv2.setNumThreads(1)  # Servers prepare several pictures at the same time: one picture takes one core.


class _Drawing(NamedTuple):
    """The largest shape, cut out, and how many shapes of a similar size the picture has."""

    coverage: Coverage
    shape_count: int


def cut_out_ink(grey: GreyImage, height: int, width: int) -> tuple[GreyImage | None, tuple[str, ...]]:
    """Cut out the largest drawing of a picture and place it white on black.

    Args:
        grey: the picture, uint8 [h, w] of any size.
        height: rows of the result.
        width: columns of the result.

    Returns:
        The drawing as uint8 [height, width], or None if the picture has none; and warnings for the user.
    """
    grey = _shrink(grey, SEARCH_SIDE)
    is_dark_ink = _is_dark_on_light(grey)
    drawing = _find_drawing(grey if is_dark_ink else 255 - grey)
    widest = MAX_STROKE_DARK if is_dark_ink else MAX_STROKE_LIGHT
    if drawing is None or _stroke_width(drawing.coverage) > widest:
        opposite = _find_drawing(255 - grey if is_dark_ink else grey)
        if drawing is None or (opposite and _has_thinner_strokes(opposite, drawing)):
            drawing = opposite
    if drawing is None:
        return None, ("no ink found",)
    warnings: tuple[str, ...] = ()
    if drawing.shape_count > 1:
        count = "two" if drawing.shape_count == 2 else drawing.shape_count
        warnings = (f"{count} shapes found, the largest used",)
    return _place_on_grid(_fit_into_box(drawing.coverage, height, width), height, width), warnings


def _has_thinner_strokes(drawing: _Drawing, other: _Drawing) -> bool:
    return _stroke_width(drawing.coverage) < THINNER_STROKE * _stroke_width(other.coverage)


def _find_drawing(grey: GreyImage) -> _Drawing | None:
    """Cut out the largest shape that is darker than its paper. Return None if there is none.

    The coverage is linear in the darkness: 0 at three standard deviations of the noise, 1 at the upper quartile of the
    ink's darkness. The shape is dilated by one pixel, so that the grey edges of its strokes are kept.
    """
    darkness, noise = _darkness(grey), _paper_noise(grey)
    otsu, _ = cv2.threshold(darkness, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    threshold = max(otsu, MIN_INK_DARKNESS, min(MIN_INK_TO_NOISE * noise, SURE_INK_DARKNESS))
    ink, shape_count = _select_largest_shape((darkness > threshold).astype(np.uint8))
    if not shape_count:
        return None
    x, y, w, h = cv2.boundingRect(ink)
    ink, cut_out = ink[y : y + h, x : x + w], darkness[y : y + h, x : x + w].astype(np.float32)
    full = float(np.percentile(cut_out[ink > 0], 75))
    floor = min(3 * noise, full / 2)
    coverage = np.clip((cut_out - floor) / (full - floor), 0, 1)
    return _Drawing(coverage * cv2.dilate(ink, np.ones((3, 3), np.uint8)), shape_count)


def _shrink(grey: GreyImage, longer_side: int) -> GreyImage:
    """Reduce a picture until its longer side has at most this many pixels."""
    scale = longer_side / max(grey.shape)
    return _resize(grey, scale).astype(np.uint8, copy=False) if scale < 1 else grey


def _resize(pixels: NDArray[Any], scale: float) -> NDArray[Any]:
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _is_dark_on_light(grey: GreyImage) -> bool:
    """Return whether the ink is darker than the paper, by the skewness of differences from the local mean.

    Ink covers less of the picture than paper and differs more from the local mean. So it decides the sign.
    """
    small = _shrink(grey, PAPER_SIDE).astype(np.float32)
    difference = small - cv2.GaussianBlur(small, (0, 0), POLARITY_BLUR * max(small.shape))
    return float((difference**3).sum()) <= 0


def _darkness(grey: GreyImage) -> GreyImage:
    """Return how much darker than its paper each pixel is: uint8 [h, w], 0 is paper and 255 is black."""
    return (255 - cv2.divide(grey, _paper_brightness(grey), scale=255)).astype(np.uint8, copy=False)


def _paper_brightness(grey: GreyImage) -> GreyImage:
    """Estimate how bright the paper is at each pixel, also below the ink: uint8 [h, w], at least 1.

    The estimate is a quadratic surface, fitted to the pixels that are no ink, plus a morphological closing of what
    remains. A closing alone would take a dark corner for ink: it does not know how the light continues beyond the
    picture.
    """
    small = _shrink(grey, PAPER_SIDE).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : small.shape[0] * 1j, -1 : 1 : small.shape[1] * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    surface, brightness = np.zeros_like(x), small.ravel()
    is_paper = np.ones(brightness.shape, bool)
    for _ in range(SURFACE_ROUNDS):
        fitted = terms[:, is_paper]
        # Least squares by the normal equations. The identity matrix keeps them solvable for tiny pictures.
        surface = np.linalg.solve(fitted @ fitted.T + np.eye(6), fitted @ brightness[is_paper]) @ terms
        is_paper = brightness > surface - (brightness - surface)[is_paper].std()
    side = max(3, round(CLOSING_WINDOW * max(small.shape)))
    surface = surface.reshape(small.shape)
    remainder = cv2.morphologyEx(small - surface, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    paper = surface + cv2.blur(remainder, (side // 4 + 1, side // 4 + 1))
    return cv2.resize(np.clip(paper, 1, 255).astype(np.uint8), grey.shape[::-1]).astype(np.uint8, copy=False)


def _paper_noise(grey: GreyImage) -> float:
    """Return the standard deviation of the paper's noise, on the scale of darkness (0 to 255).

    It is 2.22 times the lower quartile of absolute differences between pixels in a row. For two normal variables that
    quartile is 0.3186 * sqrt(2) = 0.4506 standard deviations, and 1 / 0.4506 is 2.22. Strokes cause large differences,
    which do not change a lower quartile. Division by the picture's lower quartile converts to darkness.
    """
    differences = np.abs(grey[:, NOISE_DISTANCE:].astype(np.float32) - grey[:, :-NOISE_DISTANCE])
    if not differences.size:
        return 0.0
    return float(2.22 * np.quantile(differences, 0.25) * 255 / max(1, np.quantile(grey, 0.25)))


def _select_largest_shape(ink: Mask) -> tuple[Mask, int]:
    """Select the largest shape. A shape is one connected piece, or several pieces with small gaps between them.

    Args:
        ink: uint8 [h, w], 1 where there is ink.

    Returns:
        The largest shape as a mask [h, w], and how many shapes of a similar size there are; 0 if there is no shape.
    """
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(ink)
    edge = np.concatenate([pieces[0], pieces[-1], pieces[1:-1, 0], pieces[1:-1, -1]])
    edge_pixels = np.bincount(edge, minlength=len(stats))
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1)
    stats[0, cv2.CC_STAT_AREA] = 0  # Component 0 is the paper.
    all_areas = stats[:, cv2.CC_STAT_AREA]
    areas = np.where(edge_pixels > MAX_EDGE_CONTACT * sides, 0, all_areas)
    areas = areas if areas.any() else all_areas
    if areas.max() < max(3, MIN_SHAPE_AREA * ink.size):
        return ink, 0
    without_dirt = (areas > DIRT_AREA * areas.max()).astype(np.uint8)[pieces]
    # Dilation joins pieces whose gap is smaller than the window. The window has to be odd.
    window = 2 * round(MAX_GAP * sides[areas.argmax()] / 2) + 1
    _, shapes = cv2.connectedComponents(cv2.dilate(without_dirt, np.ones((window, window), np.uint8)))
    shape_areas = np.bincount(shapes[without_dirt > 0])
    largest = (shapes == shape_areas.argmax()).astype(np.uint8)
    return without_dirt * largest, int((shape_areas > RIVAL_AREA * shape_areas.max()).sum())


def _fit_into_box(coverage: Coverage, height: int, width: int) -> Coverage:
    """Scale a drawing into the box of a grid [height, width]. Keep its proportions, and widen thin strokes."""
    box = BOX_SHARE * np.array([height, width])
    scale = min(DETAIL * box / coverage.shape)
    if scale < 1:
        coverage = _resize(coverage, scale)
        coverage /= max(1e-6, float(np.percentile(coverage[coverage > 0], 90)))
    stroke = _stroke_width(coverage)
    if stroke < MIN_STROKE:
        added = round((WIDENED_STROKE - stroke) * max(coverage.shape)) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (added, added))
        coverage = cv2.dilate(np.pad(coverage, added // 2), disc)
    coverage = _resize(coverage, min(box / coverage.shape))
    coverage /= coverage.max()
    return coverage


def _stroke_width(coverage: Coverage) -> float:
    """Return the mean width of a drawing's strokes, as a share of its longer side.

    Across a stroke of width w, the distance to the edge rises from 0 to w / 2 and falls again. So its mean is w / 4.
    The distance transform counts half a pixel more, from the centre of one pixel to the centre of the next.
    """
    ink = np.pad((coverage > 0.5).astype(np.uint8), 1)
    distances = cv2.distanceTransform(ink, cv2.DIST_L2, 3)
    return float(4 * (distances[distances > 0].mean() - 0.5) / max(coverage.shape))


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
