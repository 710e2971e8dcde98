"""Distortions that imitate how handwriting differs between people: of the shape, and of the strokes' width.

Each function changes a batch of pictures with NumPy alone, so every backend gets the same pictures. Pixels from outside
a picture are black.
"""

import numpy as np
from numpy.typing import NDArray

ELASTIC_GRID = 5  # A displacement is drawn at 5 x 5 points, and interpolated smoothly between them.
INK_BRIGHTNESS = 64  # Pixels that are at least this bright belong to the drawing when its size is measured.
MAX_SQUARE_STRETCH = 6.0  # A drawing is stretched at most by this factor.

Amounts = NDArray[np.float64]  # one number per picture
Floats = NDArray[np.float32]


def warp(images: Floats, maps: Amounts, displacements: Floats | None) -> Floats:
    """Move the pixels of each picture by a linear map about its centre, by a shift, and by displacements.

    Args:
        images: float32 [N, H, W, C].
        maps: float64 [N, 2, 3]. `map @ (x, y, 1)` is the place in the source that a pixel of the result shows. Both
            places are in pixels, relative to the picture's centre.
        displacements: float32 [N, H, W, 2], added to these places: x and y in pixels; None for none.

    Returns:
        float32 [N, H, W, C], interpolated bilinearly.
    """
    count, height, width, channels = images.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x, y = np.meshgrid(np.arange(width) - centre_x, np.arange(height) - centre_y)
    grid = np.stack([x.ravel(), y.ravel(), np.ones(x.size)]).astype(np.float32)
    places = (maps.astype(np.float32) @ grid).reshape(count, 2, height, width)
    if displacements is not None:
        places += displacements.transpose(0, 3, 1, 2)
    # A border of one black pixel: a place outside the picture is moved onto the border and gets its colour.
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    place_x = np.clip(places[:, 0] + np.float32(centre_x + 1), 0, width + 1)
    place_y = np.clip(places[:, 1] + np.float32(centre_y + 1), 0, height + 1)
    left = np.minimum(place_x.astype(np.int32), width)
    top = np.minimum(place_y.astype(np.int32), height)
    right_share, lower_share = (place_x - left)[..., None], (place_y - top)[..., None]
    first = np.arange(count, dtype=np.int32).reshape(-1, 1, 1) * (height + 2) * (width + 2)
    corners = first + top * (width + 2) + left
    pixels = padded.reshape(-1, channels)
    upper = pixels[corners] * (1 - right_share) + pixels[corners + 1] * right_share
    corners += width + 2
    lower = pixels[corners] * (1 - right_share) + pixels[corners + 1] * right_share
    moved: Floats = upper * (1 - lower_share) + lower * lower_share
    return moved


def draw_displacements(random: np.random.Generator, count: int, height: int, width: int, largest: float) -> Floats:
    """Draw a smooth random displacement of each picture's pixels (elastic distortion).

    The idea is that of P. Simard et al., Best practices for convolutional neural networks applied to visual document
    analysis, ICDAR 2003. Here the displacements are drawn on a coarse grid, and interpolated with Gaussian weights.

    Args:
        random: decides every displacement.
        count: how many pictures.
        height: of a picture, in pixels.
        width: of a picture, in pixels.
        largest: the largest displacement along each axis, in pixels.

    Returns:
        float32 [count, height, width, 2]: x and y in pixels.
    """
    drawn = random.uniform(-largest, largest, (count, ELASTIC_GRID, ELASTIC_GRID, 2)).astype(np.float32)
    rows, columns = _grid_weights(height), _grid_weights(width)
    along_rows = np.einsum("hg,ngkd->nhkd", rows, drawn)
    displacements: Floats = np.einsum("wk,nhkd->nhwd", columns, along_rows)
    return displacements


def _grid_weights(side: int) -> Floats:
    """Return the weight of each grid point at each pixel: float32 [side, ELASTIC_GRID]. Rows have the sum 1."""
    pixels = (np.arange(side) + 0.5) / side * ELASTIC_GRID - 0.5
    distances = pixels[:, None] - np.arange(ELASTIC_GRID)
    weights = np.exp(-(distances**2) / (2 * 0.6**2))
    shares: Floats = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares


def measure_square_stretch(images: NDArray[np.uint8]) -> tuple[Amounts, Amounts]:
    """Return by which factors a drawing's width and height have to grow until they are equal.

    Args:
        images: uint8 [N, H, W, C], bright on black.

    Returns:
        The factors of the width and of the height, float64 [N] each, from 1 to `MAX_SQUARE_STRETCH`.
    """
    is_ink = images.max(-1, initial=0) >= INK_BRIGHTNESS
    widths, heights = (_extent(is_ink.any(axis)).astype(np.float64) for axis in (1, 2))
    longer = np.maximum(widths, heights)
    wider, higher = (np.clip(longer / np.maximum(side, 1), 1, MAX_SQUARE_STRETCH) for side in (widths, heights))
    return wider, higher


def _extent(has_ink: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the distance from the first to the last marked position, both included: [N, side] -> [N]."""
    side = has_ink.shape[1]
    extents: NDArray[np.int64] = (side - has_ink[:, ::-1].argmax(1) - has_ink.argmax(1)) * has_ink.any(1)
    return extents


def change_stroke_width(images: Floats, changes: Amounts) -> Floats:
    """Make the strokes of each picture wider or narrower, by grey dilation and erosion with a cross of 3 x 3 pixels.

    A step by a fraction of a pixel is a mixture of the picture before and after the step.

    Args:
        images: float32 [N, H, W, C], bright on black.
        changes: float64 [N], by how many pixels each edge of a stroke moves outwards; negative values move it inwards.
            A stroke that would vanish keeps the brightness of its middle.

    Returns:
        float32 [N, H, W, C].
    """
    images, brightest = images.copy(), images.max((1, 2), keepdims=True)
    remaining = np.abs(changes).astype(np.float32)
    is_wider = changes > 0
    while (remaining > 0).any():
        step = np.minimum(remaining, 1)
        for chosen, extreme in ((is_wider, np.maximum), (~is_wider, np.minimum)):
            indices = np.flatnonzero(chosen & (step > 0))
            before = images[indices]
            padded = np.pad(before, ((0, 0), (1, 1), (1, 1), (0, 0)))
            after = before
            neighbours = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
            for neighbour in neighbours:
                after = extreme(after, neighbour)
            images[indices] = before + step[indices, None, None, None] * (after - before)
        remaining = remaining - step
    # An eroded thin stroke is darker. Preparation gives every drawing its full brightness, and so does this.
    now = images.max((1, 2), keepdims=True)
    return np.where(now > 0, images * (brightest / np.maximum(now, 1e-6)), images)
