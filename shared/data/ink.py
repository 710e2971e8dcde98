"""Find a drawing in a picture, cut it out, and lay it on black as MNIST's makers did.

Photographs and scans are dark on light or light on dark, unevenly lit, noisy,
and the drawing is anywhere. The paper is divided out, what is left is split by
Otsu's threshold (N. Otsu, A threshold selection method from gray-level
histograms, IEEE Trans. SMC 9, 1979), and the largest shape is fitted into a
20 x 20 box and centred by its mass in 28 x 28 (Y. LeCun et al., Gradient-based
learning applied to document recognition, Proc. IEEE 86, 1998, section III.A).
Other grids scale the box. Nothing is decoded here; whoever prepares no ink
does not import this, and so no OpenCV.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Soft = NDArray[Any]  # floating; 0 is paper, 1 is ink

SIDE = 512  # pixels of the longer side of the picture that a drawing is looked for in
PAPER = 64  # of the one that the paper's brightness is taken from
WINDOW = 0.4  # of the longer side: a stroke must be narrower, or it is paper
FAINTEST, CERTAIN = 20, 100  # of 255: less is never ink; more is, however much noise there seems to be
APART = 4  # pixels: a camera and JPEG make neighbours alike
NOISE = 5.0  # standard deviations of the paper: less is never ink
SMALLEST = 1e-4  # of the picture: less is no shape
JOINED = 0.16  # of the largest piece's side: pieces that are nearer belong together
SPECK = 0.02  # of the largest shape's ink: less is dirt
RIVAL = 0.25  # of the largest shape's ink: more is another shape
ROUNDS = 4  # of fitting the paper, each without what the last one found darker
EDGE = 0.5  # of its side along the picture's edge: a table, a shadow, the end of the sheet
BOX = 20 / 28  # of the grid
DETAIL = 4  # times the box: where strokes are measured
THIN, STROKE = 0.08, 0.1  # of the drawing's side: a stroke below the first is widened to the second
THICK, SHEET = 0.3, 0.25  # of the drawing's side: hardly a stroke; light on dark, more likely a sheet on a table
THINNER = 0.6  # times as wide, in the other reading: rather a stroke

cv2.setNumThreads(1)


def find(grey: Grey, height: int, width: int) -> tuple[Grey | None, tuple[str, ...]]:
    """The largest shape of a picture uint8 [h, w], white on black in uint8 [height, width]; None if there is none.

    The second value is what a person should know of it.
    """
    grey = _within(grey, SIDE)
    dark = _is_dark_on_light(grey)
    found = _drawing(grey if dark else 255 - grey)
    if found is None or _stroke(found[0]) > (THICK if dark else SHEET):  # none, or a sheet on a dark table
        other = _drawing(255 - grey if dark else grey)
        if found is None or (other and _stroke(other[0]) < THINNER * _stroke(found[0])):
            found = other
    if found is None:
        return None, ("no ink found",)
    soft, shapes = found
    notes = (f"{'two' if shapes == 2 else shapes} shapes found, the largest used",) if shapes > 1 else ()
    return _centred(_fitted(soft, height, width), height, width), notes


def _drawing(grey: Grey) -> tuple[Soft, int] | None:
    """The largest dark shape, cut out, and how many there are."""
    strength, noise = _strength(grey), _noise(grey)
    otsu, _ = cv2.threshold(strength, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    ink, shapes = _largest((strength > max(otsu, FAINTEST, min(NOISE * noise, CERTAIN))).astype(np.uint8))
    if not shapes:
        return None
    x, y, w, h = cv2.boundingRect(ink)
    ink, strength = ink[y : y + h, x : x + w], strength[y : y + h, x : x + w].astype(np.float32)
    full = float(np.percentile(strength[ink > 0], 75))
    floor = min(3 * noise, full / 2)
    return np.clip((strength - floor) / (full - floor), 0, 1) * cv2.dilate(ink, np.ones((3, 3), np.uint8)), shapes


def _within(grey: Grey, side: int) -> Grey:
    scale = side / max(grey.shape)
    return _resized(grey, scale).astype(np.uint8, copy=False) if scale < 1 else grey


def _resized(pixels: NDArray[Any], scale: float) -> NDArray[Any]:
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _is_dark_on_light(grey: Grey) -> bool:
    """By the skewness about the local mean: ink is what there is less of, and what stands out more."""
    small = _within(grey, PAPER).astype(np.float32)
    away = small - cv2.GaussianBlur(small, (0, 0), 0.12 * max(small.shape))
    return float((away**3).sum()) <= 0


def _strength(grey: Grey) -> Grey:
    """How much darker than the paper around it each pixel is, of 255: light and shadow are divided out.

    The paper is a quadratic surface through what is no ink, and what a closing finds on top of it; a closing
    alone would take a dark corner for ink, as nothing tells it how the light goes on beyond the picture.
    """
    small = _within(grey, PAPER).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : small.shape[0] * 1j, -1 : 1 : small.shape[1] * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    surface, light = np.zeros_like(x), small.ravel()
    kept = np.ones(light.shape, bool)
    for _ in range(ROUNDS):
        fitted = terms[:, kept]
        surface = np.linalg.solve(fitted @ fitted.T + np.eye(6), fitted @ light[kept]) @ terms
        kept = light > surface - (light - surface)[kept].std()
    side = max(3, round(WINDOW * max(small.shape)))
    surface = surface.reshape(small.shape)
    rest = cv2.morphologyEx(small - surface, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    paper = surface + cv2.blur(rest, (side // 4 + 1, side // 4 + 1))
    paper = cv2.resize(np.clip(paper, 1, 255).astype(np.uint8), grey.shape[::-1])
    return (255 - cv2.divide(grey, paper, scale=255)).astype(np.uint8, copy=False)


def _noise(grey: Grey) -> float:
    """The paper's standard deviation, of 255: by the lower quartile of differences, where it is rather dark."""
    pairs = np.abs(grey[:, APART:].astype(np.float32) - grey[:, :-APART])
    return float(2.22 * np.quantile(pairs, 0.25) * 255 / max(1, np.quantile(grey, 0.25))) if pairs.size else 0.0


def _largest(mask: Grey) -> tuple[Grey, int]:
    """The pieces of the largest shape as a mask, and how many shapes there are."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask)
    ring = np.concatenate([pieces[0], pieces[-1], pieces[1:-1, 0], pieces[1:-1, -1]])
    along = np.bincount(ring, minlength=len(stats))
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1)
    stats[0, cv2.CC_STAT_AREA] = 0  # the paper
    areas = np.where(along > EDGE * sides, 0, stats[:, cv2.CC_STAT_AREA])
    areas = areas if areas.any() else stats[:, cv2.CC_STAT_AREA]
    if areas.max() < max(3, SMALLEST * mask.size):
        return mask, 0
    mask = (areas > SPECK * areas.max()).astype(np.uint8)[pieces]
    near = 2 * round(JOINED * sides[areas.argmax()] / 2) + 1
    _, shapes = cv2.connectedComponents(cv2.dilate(mask, np.ones((near, near), np.uint8)))
    sizes = np.bincount(shapes[mask > 0])
    return mask * (shapes == sizes.argmax()).astype(np.uint8), int((sizes > RIVAL * sizes.max()).sum())


def _fitted(soft: Soft, height: int, width: int) -> Soft:
    """The cut-out in the box, its proportions kept, its strokes no thinner than a pen's."""
    box = BOX * np.array([height, width])
    if (scale := min(DETAIL * box / soft.shape)) < 1:
        soft = _resized(soft, scale)
        soft /= max(1e-6, float(np.percentile(soft[soft > 0], 90)))
    if (stroke := _stroke(soft)) < THIN:
        wider = round((STROKE - stroke) * max(soft.shape)) + 1
        soft = cv2.dilate(np.pad(soft, wider // 2), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wider, wider)))
    soft = _resized(soft, min(box / soft.shape))
    soft /= soft.max()
    return soft


def _stroke(soft: Soft) -> float:
    """How wide its strokes are, of its longer side: across a stroke the distance from the edge rises and falls."""
    inside = cv2.distanceTransform(np.pad((soft > 0.5).astype(np.uint8), 1), cv2.DIST_L2, 3)
    return float(4 * (inside[inside > 0].mean() - 0.5) / max(soft.shape))


def _centred(soft: Soft, height: int, width: int) -> Grey:
    """Its centre of mass right below the grid's middle, where MNIST has it, as far as all of it stays within."""
    grid = np.zeros((height, width), np.uint8)
    rows, columns = soft.shape
    y, x = (
        min(max(round(size / 2 - float((np.arange(length) * soft.sum(1 - axis)).sum() / soft.sum())), 0), size - length)
        for axis, (size, length) in enumerate(((height, rows), (width, columns)))
    )
    grid[y : y + rows, x : x + columns] = np.rint(255 * soft)
    return grid
