"""The paper of a picture: how bright it is, how noisy it is, and how much darker than the paper each pixel is.

A scan, a screenshot or a cropped drawing has one level of paper. The border of the picture shows it. A photograph has
light and shadow, so its paper is a smooth surface that is fitted. ADR 12 and ADR 23 give the reasons.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GreyImage = NDArray[np.uint8]  # [h, w], 0 is black and 255 is white

PAPER_SIDE = 64  # Pixels: the paper's brightness is taken from a picture whose longer side is at most this long.
SURFACE_ROUNDS = 4  # How often the paper's surface is fitted, each time without the pixels found darker before.
CLOSING_WINDOW = 0.4  # Of the longer side: a stroke must be narrower than this window, or it is taken for paper.
POLARITY_BLUR = 0.12  # Of the longer side: standard deviation of the Gaussian that gives the local mean.
MAX_PAPER_NOISE = 24  # Grey levels: pixels that differ more from the level of the paper are ink or its edges.
NOISE_DISTANCE = 4  # Pixels: how far the compared pixels are apart. Cameras and JPEG make closer ones alike.

# A picture has one level of paper if this share of the border's pixels of paper is so near to it.
LEVEL_SHARE = 0.5
LEVEL_TOLERANCE = 0.015  # Of the contrast between the darkest and the brightest pixel, but at least one grey level.
LEVEL_QUANTILE = 0.6  # Of these pixels, counted from the ink: the level.
MAX_SHARE_BEYOND = 0.03  # Of these pixels: how many may be much farther from the ink than the level.


def shrink(grey: GreyImage, longer_side: int) -> GreyImage:
    """Reduce a picture until its longer side has at most this many pixels."""
    scale = longer_side / max(grey.shape)
    return resize(grey, scale).astype(np.uint8, copy=False) if scale < 1 else grey


def resize(pixels: NDArray[Any], scale: float) -> NDArray[Any]:
    """Scale pixels [h, w] by a factor. A side keeps at least one pixel."""
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def border_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels on the edge of a picture [h, w], as a vector."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def find_paper_level(grey: GreyImage) -> int | None:
    """Return the brightness of paper that is equally bright everywhere, or None if the border shows no such paper.

    Strokes that reach the border have grey edges there. So many pixels may be between the paper and the ink, but hardly
    any may be on the other side of the level.
    """
    border = border_of(grey)
    darkest, brightest = int(grey.min()), int(grey.max())
    middle = (darkest + brightest) / 2
    is_light = border.mean() > middle
    paper = (border[border > middle] if is_light else 255 - border[border <= middle]).astype(int)
    if 2 * paper.size < border.size:
        return None
    level = int(np.quantile(paper, LEVEL_QUANTILE))
    tolerance = max(1, LEVEL_TOLERANCE * (brightest - darkest))
    is_near = np.abs(paper - level) <= tolerance
    if is_near.mean() < LEVEL_SHARE or (paper > level + 2 * tolerance).mean() > MAX_SHARE_BEYOND:
        return None
    return level if is_light else 255 - level


def is_dark_on_light(grey: GreyImage, level: int | None) -> bool:
    """Return whether the ink is darker than the paper.

    Args:
        grey: the picture, uint8 [h, w].
        level: of the paper, if it has one. Without it, the skewness of differences from the local mean decides: ink
            covers less of the picture than paper and differs more from the local mean.
    """
    if level is not None:
        return level - int(grey.min()) >= int(grey.max()) - level
    small = shrink(grey, PAPER_SIDE).astype(np.float32)
    difference = small - cv2.GaussianBlur(small, (0, 0), POLARITY_BLUR * max(small.shape))
    return float((difference**3).sum()) <= 0


def measure_darkness(grey: GreyImage, level: int | None) -> GreyImage:
    """Return how much darker than its paper each pixel is: uint8 [h, w], 0 is paper and 255 is black.

    Args:
        grey: the picture, uint8 [h, w], dark ink on light paper.
        level: of the paper, if it has one.
    """
    paper = np.full_like(grey, max(1, level)) if level is not None else _fit_paper(grey)
    return (255 - cv2.divide(grey, paper, scale=255)).astype(np.uint8, copy=False)


def _fit_paper(grey: GreyImage) -> GreyImage:
    """Estimate how bright the paper is at each pixel, also below the ink: uint8 [h, w], at least 1.

    The estimate is a quadratic surface, fitted to the pixels that are no ink, plus a morphological closing of what
    remains. A closing alone would take a dark corner for ink: it does not know how the light continues beyond the
    picture.
    """
    small = shrink(grey, PAPER_SIDE).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : small.shape[0] * 1j, -1 : 1 : small.shape[1] * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    surface, brightness = np.zeros_like(x), small.ravel()
    is_paper = np.ones(brightness.shape, bool)
    for _ in range(SURFACE_ROUNDS):
        fitted = terms[:, is_paper]
        # Least squares by the normal equations. The identity matrix keeps them solvable for tiny pictures.
        surface = np.linalg.solve(fitted @ fitted.T + np.eye(6), fitted @ brightness[is_paper]) @ terms
        is_paper = brightness >= surface - (brightness - surface)[is_paper].std()
        if not is_paper.any():
            break
    side = max(3, round(CLOSING_WINDOW * max(small.shape)))
    surface = surface.reshape(small.shape)
    remainder = cv2.morphologyEx(small - surface, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    paper = surface + cv2.blur(remainder, (side // 4 + 1, side // 4 + 1))
    return cv2.resize(np.clip(paper, 1, 255).astype(np.uint8), grey.shape[::-1]).astype(np.uint8, copy=False)


def measure_noise(grey: GreyImage, level: int | None) -> float:
    """Return the standard deviation of the paper's noise, in grey levels.

    Paper that is unevenly lit: 2.22 times the lower quartile of absolute differences between pixels in a row. For two
    normal variables that quartile is 0.3186 * sqrt(2) = 0.4506 standard deviations, and 1 / 0.4506 is 2.22. Strokes
    cause large differences, which do not change a lower quartile. It is 0 where noise is clipped at black or white, so
    the estimate is at least 0.7 times the median difference, which is 0.67 standard deviations where none is clipped.

    Paper of one level may be black or white. Half of its noise is then clipped, and the lower quartile is 0. So the
    smaller of two estimates is used: 1.05 times the median difference (1 / (0.6745 * sqrt(2))), and 1.48 times the
    upper quartile of the border's distances to the level, which is 0.6745 standard deviations where half is clipped.
    """
    differences = np.abs(grey[:, NOISE_DISTANCE:].astype(np.float32) - grey[:, :-NOISE_DISTANCE])
    if level is None:
        if not differences.size:
            return 0.0
        lower, median = np.quantile(differences, (0.25, 0.5))
        return float(max(2.22 * lower, 0.7 * median))
    distances = np.abs(border_of(grey).astype(np.float32) - level)
    near = distances[distances <= max(MAX_PAPER_NOISE, float(distances.min()))]
    on_border = float(1.48 * np.quantile(near, 0.75))
    return min(on_border, float(1.05 * np.quantile(differences, 0.5))) if differences.size else on_border
