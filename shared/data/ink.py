"""Find a drawing in a picture, cut it out, and place it white on black, as in MNIST.

Photographs and scans are dark on light or light on dark, unevenly lit and noisy, and the drawing may be anywhere, also
cut at the edge of its ink. `cut_out_ink` works in these steps:

1. Find the level of the paper on the picture's border. Without one, the paper is a smooth surface (`paper.py`).
2. Decide whether the ink is darker or lighter than the paper.
3. Divide by the brightness of the paper, which removes light and shadow.
4. Separate ink from paper with Otsu's threshold (N. Otsu, A threshold selection method from gray-level histograms,
   IEEE Trans. SMC 9, 1979).
5. Keep the largest shape (`shapes.py`), and warn if it does not look like a drawing.
6. Scale it into a box and place its centre of mass in the middle (`drawing.py`).

ADR 12 and ADR 23 give the reasons. This module decodes no files. It needs OpenCV, so it is imported only where ink is
prepared.
"""

from typing import NamedTuple

import cv2
import numpy as np

from shared.data.drawing import Coverage, measure_stroke_width, place_drawing
from shared.data.paper import GreyImage, find_paper_level, is_dark_on_light, measure_darkness, measure_noise, shrink
from shared.data.shapes import FILLED, FRAME, TABLE, describe_problem, is_fragment, select_largest_shape

CUT_OFF = "the shape found is cut off by the edge of the picture"

SEARCH_SIDE = 512  # Pixels: the drawing is looked for in a picture whose longer side is at most this long.

# Which darkness is ink. Darkness is measured from 0 (as bright as the paper) to 255.
MIN_INK_DARKNESS = 24  # A pixel with less darkness than this is never ink.
MIN_INK_CONTRAST = 16  # Grey levels: a pixel that differs less from the paper is never ink, however dark the paper is.
MIN_INK_TO_NOISE = 5.0  # A pixel whose darkness is less than this many standard deviations of the noise is no ink.
# A pixel with more darkness than this may be ink, however high the noise is. The noise is then smoothed by a median.
SURE_INK_DARKNESS = 100
MIN_SMOOTHED_SIDE = 100  # Pixels: the median of smaller pictures has a smaller window.

MAX_STROKE_DARK = 0.3  # Wider "strokes" of dark ink may be a dark background: the opposite polarity is tried.
MAX_STROKE_LIGHT = 0.25  # Wider "strokes" of light ink may be a sheet on a dark table: the opposite polarity is tried.
MAX_PLAUSIBLE_SHAPES = 2  # With more shapes of a similar size, the paper was probably not recognised.
THINNER_STROKE = 0.6  # Another drawing is used if its strokes are less than this many times as wide.
TILE_INSET = 0.03  # Of a tile's side: the drawing on a tile is looked for without so much of the tile's edge.
MIN_TILE_CONTRAST = 48  # Grey levels: a margin differs from a tile on it, and from the ink, by at least so much.
PAPER_OF_FRAME = 0.9  # Of a frame's width and height: a larger shape of the other polarity is no drawing in the frame.
MIN_TILE_SIDE = 8  # Pixels: smaller shapes are not searched for a drawing on them.

cv2.setNumThreads(1)  # Servers prepare several pictures at the same time: one picture takes one core.


class _Drawing(NamedTuple):
    """The largest shape, cut out.

    Attributes:
        coverage: the drawing within its bounding box.
        box: x, y, width and height of the bounding box in the picture, in pixels.
        shape_count: how many shapes of a similar size the picture has.
        stroke_width: as a share of the drawing's longer side.
        problem: why the shape is probably no drawing, or "".
        is_cut_off: whether the edge of the picture probably cuts the drawing off.
    """

    coverage: Coverage
    box: tuple[int, int, int, int]
    shape_count: int
    stroke_width: float
    problem: str
    is_cut_off: bool

    @property
    def is_plausible(self) -> bool:
        """Return whether the shape looks like one drawing, perhaps in two pieces."""
        is_narrow = self.stroke_width <= MAX_STROKE_DARK
        return is_narrow and not self.problem and not self.is_cut_off and self.shape_count <= MAX_PLAUSIBLE_SHAPES


def cut_out_ink(grey: GreyImage, height: int, width: int) -> tuple[GreyImage | None, tuple[str, ...]]:
    """Cut out the largest drawing of a picture and place it white on black.

    Args:
        grey: the picture, uint8 [h, w] of any size.
        height: rows of the result.
        width: columns of the result.

    Returns:
        The drawing as uint8 [height, width], or None if the picture has none; and warnings about the drawing.
    """
    grey = shrink(grey, SEARCH_SIDE)
    drawing = _find_best_drawing(grey) if int(grey.max()) - int(grey.min()) >= MIN_INK_CONTRAST else None
    if drawing is None:
        return None, ()
    warnings = []
    if drawing.shape_count > 1:
        count = "two" if drawing.shape_count == 2 else drawing.shape_count
        warnings.append(f"{count} shapes found, the largest used")
    if drawing.problem:
        warnings.append(drawing.problem)
    elif drawing.is_cut_off:
        warnings.append(CUT_OFF)
    return place_drawing(drawing.coverage, height, width), tuple(warnings)


def _find_best_drawing(grey: GreyImage) -> _Drawing | None:
    """Find the drawing on paper of one level if the border shows such paper, else on unevenly lit paper.

    The border may show a table on which a sheet lies. So the second search is also made if the first one finds nothing
    that looks like one drawing.
    """
    level = find_paper_level(grey)
    drawing = None if level is None else _find_in_both_polarities(grey, level)
    if drawing is not None and (drawing.is_plausible or drawing.problem == TABLE):
        return drawing
    if drawing is not None and drawing.problem == FILLED and _is_blank_inside(grey, drawing):
        return drawing
    on_uneven_paper = _find_in_both_polarities(grey, None)
    if drawing is None or (on_uneven_paper is not None and on_uneven_paper.is_plausible):
        return on_uneven_paper
    return drawing


def _is_blank_inside(grey: GreyImage, drawing: _Drawing) -> bool:
    """Return whether the middle of a shape is equally bright, so that the shape is no sheet with a drawing on it."""
    x, y, w, h = drawing.box
    middle = grey[y + h // 4 : y + h - h // 4, x + w // 4 : x + w - w // 4]
    return int(middle.max()) - int(middle.min()) < MIN_INK_CONTRAST


def _find_in_both_polarities(grey: GreyImage, level: int | None) -> _Drawing | None:
    """Find the drawing in the more probable polarity. If it does not look like a drawing, try the others.

    A wide shape may be the background of a light drawing, or a tile or a sheet that the drawing is on.
    """
    is_dark = is_dark_on_light(grey, level)
    widest = MAX_STROKE_DARK if is_dark else MAX_STROKE_LIGHT
    drawing = _find_drawing(grey, level, is_dark=is_dark)
    if drawing is not None and not drawing.problem and drawing.stroke_width <= widest:
        return _find_on_margin(grey, level, is_dark=is_dark) or drawing
    if drawing is not None and drawing.problem == TABLE:  # The other polarity would find one of its cells.
        return drawing
    opposite = _find_drawing(grey, level, is_dark=not is_dark)
    if drawing is None:
        return opposite
    if opposite is not None and drawing.problem == FRAME and _follows_frame(opposite, drawing):
        opposite = None
    on_tile = _find_on_tile(grey, drawing)
    others = [opposite, on_tile if on_tile is not None and on_tile.is_plausible else None]
    widest = THINNER_STROKE * drawing.stroke_width if not drawing.problem else MAX_STROKE_LIGHT
    found = [other for other in others if other and not other.problem and other.stroke_width < widest]
    return min(found, key=lambda other: (other.shape_count, other.stroke_width), default=drawing)


def _follows_frame(shape: _Drawing, frame: _Drawing) -> bool:
    """Return whether a shape is almost as large as a frame, so that it is the paper beside its lines."""
    return all(side > PAPER_OF_FRAME * outer for side, outer in zip(shape.box[2:], frame.box[2:], strict=True))


def _find_on_margin(grey: GreyImage, level: int | None, *, is_dark: bool) -> _Drawing | None:
    """Find the drawing on a tile whose margin is darker than the tile and lighter than the ink, or the other way round.

    The margin is then taken for the paper, and thin strokes are lost where they pass through its brightness.

    Args:
        grey: the picture, uint8 [h, w].
        level: of the margin, or None.
        is_dark: whether the ink is darker than the margin.
    """
    if level is None or min(level - int(grey.min()), int(grey.max()) - level) < MIN_TILE_CONTRAST:
        return None
    tile = _find_drawing(grey, level, is_dark=not is_dark)
    on_tile = _find_on_tile(grey, tile) if tile is not None and tile.problem in (FILLED, FRAME) else None
    return on_tile if on_tile is not None and on_tile.is_plausible else None


def _find_on_tile(grey: GreyImage, tile: _Drawing) -> _Drawing | None:
    """Find the drawing on a tile, a shape that is smaller than the picture."""
    x, y, w, h = tile.box
    if w * h == grey.size or min(w, h) < MIN_TILE_SIDE:
        return None
    across, down = max(1, round(TILE_INSET * w)), max(1, round(TILE_INSET * h))
    inside = grey[y + down : y + h - down, x + across : x + w - across]
    level = find_paper_level(inside)
    return None if level is None else _find_in_both_polarities(inside, level)


def _find_drawing(grey: GreyImage, level: int | None, *, is_dark: bool) -> _Drawing | None:
    """Cut out the largest shape of one polarity. Return None if there is none.

    The coverage is linear in the darkness: 0 at three standard deviations of the noise, 1 at the upper quartile of the
    ink's darkness. The shape is dilated by one pixel, so that the grey edges of its strokes are kept.

    Args:
        grey: the picture, uint8 [h, w].
        level: of the paper, if it is equally bright everywhere.
        is_dark: whether the ink is darker than the paper.
    """
    if not is_dark:
        grey, level = 255 - grey, None if level is None else 255 - level
    brightness = max(1, level if level is not None else float(np.quantile(grey, 0.25)))
    noise = measure_noise(grey, level) * 255 / brightness
    darkness = measure_darkness(grey, level)
    if MIN_INK_TO_NOISE * noise > SURE_INK_DARKNESS:  # Single pixels of noise are as dark as ink.
        window = 5 if min(darkness.shape) >= MIN_SMOOTHED_SIDE else 3
        darkness = cv2.medianBlur(darkness, window).astype(np.uint8, copy=False)
    otsu, _ = cv2.threshold(darkness, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    above_noise = min(MIN_INK_TO_NOISE * noise, SURE_INK_DARKNESS)
    threshold = max(otsu, MIN_INK_DARKNESS, MIN_INK_CONTRAST * 255 / brightness, above_noise)
    ink, shape_count = select_largest_shape((darkness > threshold).astype(np.uint8), is_even=level is not None)
    if not shape_count:
        return None
    x, y, w, h = cv2.boundingRect(ink)
    is_cut_off = is_fragment(ink)
    ink, cut_out = ink[y : y + h, x : x + w], darkness[y : y + h, x : x + w].astype(np.float32)
    full = float(np.percentile(cut_out[ink > 0], 75))
    floor = min(3 * noise, full / 2)
    coverage = np.clip((cut_out - floor) / (full - floor), 0, 1)
    stroke_width = measure_stroke_width(coverage * ink)
    problem = describe_problem(ink, stroke_width)
    coverage *= cv2.dilate(ink, np.ones((3, 3), np.uint8))
    return _Drawing(coverage, (x, y, w, h), shape_count, stroke_width, problem, is_cut_off)
