"""Shapes of ink: which pieces belong together, which one is the drawing, and whether it looks like one."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]  # [h, w], 1 inside and 0 outside

# Which pieces of ink are the drawing.
MIN_SHAPE_AREA = 1e-4  # Of the picture's area: a piece that is smaller is no drawing.
MAX_GAP = 0.16  # Of the largest piece's longer side: pieces with a smaller gap between them belong together.
DIRT_AREA = 0.02  # Of the largest piece's area: smaller pieces are dirt and are left out.
RIVAL_AREA = 0.25  # Of the largest shape's area: larger shapes are counted as further drawings.
MAX_EDGE_CONTACT = 0.5  # Of a piece's longer side: with more pixels on the picture's edge, it is a table or a shadow.
TIGHT_MARGIN = 2  # Pixels: a picture whose ink comes as near as this to all four edges is cropped to its ink.

# Warnings.
FILLED = "the shape found is filled and has no strokes"
TABLE = "the shape found looks like a table"
FRAME = "the shape found looks like a frame"

# What is probably no single drawing.
MAX_STROKE = 0.4  # Of the longer side: wider "strokes" are a filled shape.
MAX_HOLES = 3  # An eight has two, and a careless one three. A table has more.
MAX_TABLE_STROKE = 0.2  # Of the longer side: the rules of a table are thinner.
MIN_HOLE_AREA = 0.004  # Of the bounding box: smaller holes are not counted.
EDGE_DEPTH = 0.1  # Of the sides of the bounding box: what counts as its edge, and as its corner.
MIN_FRAME_EDGE = 0.9  # Of each edge's length: a frame has ink along so much of it. An angular 6 has ink along 0.8.
MAX_FRAME_ASPECT = 2.5  # A longer box is not examined: a 1 fills its edges, too.
MIN_ROOM = 0.35  # Of the picture's side: with more room at the opposite edge, a drawing at an edge is a fragment.


def select_largest_shape(ink: Mask, *, is_even: bool) -> tuple[Mask, int]:
    """Select the largest shape. A shape is one connected piece, or several pieces with small gaps between them.

    Args:
        ink: uint8 [h, w], 1 where there is ink.
        is_even: whether the paper is equally bright everywhere. Then a picture may be cropped to its ink, and a piece
            on the edge is neither a table nor a shadow.

    Returns:
        The largest shape as a mask [h, w], and how many shapes of a similar size there are; 0 if there is no shape.
    """
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(ink)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1)
    stats[0, cv2.CC_STAT_AREA] = 0  # Component 0 is the paper.
    all_areas = stats[:, cv2.CC_STAT_AREA]
    areas = all_areas
    if not (is_even and _is_tight(ink)):
        edge = np.concatenate([pieces[0], pieces[-1], pieces[1:-1, 0], pieces[1:-1, -1]])
        edge_pixels = np.bincount(edge, minlength=len(stats))
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


def _is_tight(ink: Mask) -> bool:
    """Return whether a picture was cropped to its ink."""
    x, y, w, h = cv2.boundingRect(ink)
    rows, columns = ink.shape
    return bool(max(x, y, columns - x - w, rows - y - h) <= TIGHT_MARGIN)


def describe_problem(shape: Mask, stroke_width: float) -> str:
    """Return a warning for a shape that is probably no drawing, or "" for one that may be.

    Args:
        shape: uint8 [h, w], within its bounding box.
        stroke_width: as a share of the longer side.
    """
    if stroke_width > MAX_STROKE:
        return FILLED
    if stroke_width < MAX_TABLE_STROKE and _count_holes(shape) > MAX_HOLES:
        return TABLE
    return FRAME if _is_frame(shape) else ""


def is_fragment(ink: Mask) -> bool:
    """Return whether a shape is at an edge of its picture [h, w] and far from the opposite edge."""
    x, y, w, h = cv2.boundingRect(ink)
    rows, columns = ink.shape
    margins = ((x, columns - x - w, columns), (y, rows - y - h, rows))
    return any(min(before, after) == 0 and max(before, after) > MIN_ROOM * side for before, after, side in margins)


def _count_holes(shape: Mask) -> int:
    contours, hierarchy = cv2.findContours(shape, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return sum(
        parent >= 0 and cv2.contourArea(contour) > MIN_HOLE_AREA * shape.size
        for contour, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True)
    )


def _is_frame(shape: Mask) -> bool:
    """Return whether a shape has ink in all four corners of its bounding box, and along all four edges.

    An angular 2, a Z and an X fill the corners, but not the edges.
    """
    h, w = shape.shape
    if max(h, w) > MAX_FRAME_ASPECT * min(h, w):
        return False
    rows, columns = max(1, round(EDGE_DEPTH * h)), max(1, round(EDGE_DEPTH * w))
    edges = (shape[:rows].any(0), shape[-rows:].any(0), shape[:, :columns].any(1), shape[:, -columns:].any(1))
    corners = (part.any() for half in (shape[:rows], shape[-rows:]) for part in (half[:, :columns], half[:, -columns:]))
    return all(corners) and all(edge.mean() > MIN_FRAME_EDGE for edge in edges)
