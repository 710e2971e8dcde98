"""Digits drawn as strokes, in the forms that writers of different countries use.

MNIST's writers are American. Its digits have no 1 with a long upstroke, and few crossed sevens. A training can replace
a share of its pictures by these digits (`augmentation.drawn`). This module uses NumPy and Pillow only.

A form is a list of strokes. A stroke is a list of points (x, y) in a box of side 1: x grows to the right and y grows
downwards. A smooth curve goes through the points. A point that occurs twice in succession is a corner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

CLASSES = tuple("0123456789")

BOX_SHARE = 20 / 28  # Of the picture's side: the longer side of a drawing, as in MNIST.
DETAIL = 4  # Digits are drawn at this many times their size, and then reduced.
MIN_PEN, MAX_PEN = 0.06, 0.2  # Width of the pen, as a share of the drawing's longer side. Wide pens are rarer.
CURVE_STEPS = 6  # Straight pieces between two points of a curve.

Points = list[tuple[float, float]]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Form:
    """One way to write a digit.

    Attributes:
        strokes: the pen's paths in a box of side 1.
        aspect: the smallest and the largest ratio of width to height.
    """

    strokes: tuple[Points, ...]
    aspect: tuple[float, float] = (0.5, 0.9)


FORMS: dict[str, tuple[Form, ...]] = {
    "0": (
        Form(
            (
                [(0.5, 0), (0.15, 0.15), (0, 0.5), (0.15, 0.85), (0.5, 1), (0.85, 0.85), (1, 0.5), (0.85, 0.15),
                 (0.5, 0)],
            )
        ),
        Form(
            (
                [(0.7, 0.05), (0.3, 0.05), (0, 0.45), (0.15, 0.9), (0.5, 1), (0.9, 0.8), (1, 0.4), (0.8, 0.1),
                 (0.4, 0)],
            )
        ),
    ),
    "2": (
        Form(
            (
                [(0.03, 0.28), (0.2, 0.05), (0.5, 0), (0.85, 0.1), (0.9, 0.35), (0.6, 0.65), (0, 1), (0, 1),
                 (1, 0.97)],
            )
        ),
        Form(
            (
                [(0.05, 0.2), (0.35, 0), (0.8, 0.08), (0.85, 0.4), (0.5, 0.75), (0.15, 0.98), (0.02, 0.88), (0.2, 0.78),
                 (0.55, 0.92), (1, 0.95)],
            )
        ),
        Form(
            (
                [(0.1, 0.1), (0.5, 0), (0.85, 0.15), (0.75, 0.5), (0, 0.98), (0, 0.98), (0.3, 0.9), (0.6, 1),
                 (1, 0.9)],
            )
        ),
    ),
    "3": (
        Form(
            (
                [(0.1, 0.12), (0.45, 0), (0.85, 0.12), (0.78, 0.36), (0.35, 0.47), (0.35, 0.47), (0.85, 0.58),
                 (0.92, 0.82), (0.5, 1), (0.03, 0.88)],
            )
        ),
        Form(
            (
                [(0.1, 0.02), (0.9, 0), (0.9, 0), (0.45, 0.4), (0.45, 0.4), (0.85, 0.5), (0.92, 0.8), (0.5, 1),
                 (0.02, 0.9)],
            )
        ),
    ),
    "4": (
        # Open.
        Form(([(0.25, 0), (0.05, 0.6), (0.05, 0.6), (1, 0.57)], [(0.72, 0.25), (0.66, 1)]), (0.55, 1)),
        Form(([(0.2, 0.05), (0.1, 0.5), (0.25, 0.58), (0.9, 0.5)], [(0.85, 0), (0.8, 0.5), (0.75, 1)]), (0.5, 0.9)),
        # Closed.
        Form(([(0.68, 1), (0.7, 0), (0.7, 0), (0, 0.68), (0, 0.68), (1, 0.68)],), (0.55, 1)),
        Form(([(0.6, 0), (0, 0.6), (0, 0.6), (1, 0.58)], [(0.68, 0.3), (0.64, 1)]), (0.55, 1)),
    ),
    "5": (
        Form(
            (
                [(0.9, 0), (0.25, 0.02), (0.25, 0.02), (0.15, 0.45), (0.15, 0.45), (0.5, 0.37), (0.9, 0.52),
                 (0.88, 0.82), (0.5, 1), (0.03, 0.9)],
            )
        ),
        Form(
            (
                [(0.2, 0.05), (0.12, 0.45), (0.5, 0.4), (0.88, 0.6), (0.8, 0.9), (0.4, 1), (0, 0.9)],
                [(0.2, 0.04), (0.95, 0)],
            )
        ),
    ),
    "6": (
        Form(
            (
                [(0.75, 0), (0.35, 0.22), (0.08, 0.62), (0.18, 0.92), (0.5, 1), (0.88, 0.86), (0.82, 0.6), (0.5, 0.5),
                 (0.12, 0.7)],
            )
        ),
        Form(
            (
                [(0.5, 0), (0.1, 0.6), (0.25, 0.98), (0.7, 0.98), (0.9, 0.75), (0.65, 0.55), (0.25, 0.65),
                 (0.15, 0.8)],
            )
        ),
    ),
    "7": (
        Form(([(0, 0.05), (0.9, 0), (0.9, 0), (0.6, 0.45), (0.35, 1)],), (0.55, 0.95)),
        Form(([(0.02, 0.2), (0.05, 0.02), (0.05, 0.02), (0.95, 0.02), (0.95, 0.02), (0.4, 1)],), (0.55, 0.95)),
        # Crossed.
        Form(([(0, 0.05), (0.9, 0), (0.9, 0), (0.6, 0.45), (0.35, 1)], [(0.25, 0.5), (0.9, 0.47)]), (0.55, 0.95)),
        Form(
            (
                [(0.02, 0.15), (0.05, 0.02), (0.4, 0.08), (0.95, 0.02), (0.95, 0.02), (0.35, 1)],
                [(0.3, 0.55), (0.85, 0.5)],
            ),
            (0.55, 0.95),
        ),
    ),
    "8": (
        Form(
            (
                [(0.8, 0.14), (0.5, 0), (0.2, 0.12), (0.25, 0.35), (0.55, 0.48), (0.88, 0.7), (0.78, 0.93), (0.45, 1),
                 (0.12, 0.88), (0.15, 0.65), (0.5, 0.46), (0.78, 0.3), (0.8, 0.12)],
            )
        ),
        Form(
            (
                [(0.5, 0), (0.2, 0.1), (0.2, 0.35), (0.5, 0.46), (0.8, 0.35), (0.8, 0.1), (0.5, 0)],
                [(0.5, 0.46), (0.08, 0.6), (0.1, 0.9), (0.5, 1), (0.9, 0.9), (0.92, 0.6), (0.5, 0.46)],
            )
        ),
    ),
    "9": (
        # With a straight tail.
        Form(
            (
                [(0.85, 0.18), (0.5, 0), (0.12, 0.12), (0.1, 0.38), (0.4, 0.52), (0.75, 0.4), (0.88, 0.15),
                 (0.88, 0.15), (0.82, 0.6), (0.72, 1)],
            )
        ),
        # Hooked.
        Form(
            (
                [(0.88, 0.2), (0.5, 0), (0.1, 0.14), (0.12, 0.4), (0.45, 0.52), (0.8, 0.4), (0.9, 0.15), (0.9, 0.15),
                 (0.92, 0.7), (0.6, 1), (0.12, 0.9)],
            )
        ),
        Form(
            (
                [(0.9, 0.3), (0.6, 0.02), (0.2, 0.1), (0.1, 0.35), (0.4, 0.5), (0.85, 0.35), (0.9, 0.3), (0.95, 0.6),
                 (0.8, 0.95), (0.3, 1), (0.05, 0.8)],
            )
        ),
    ),
}  # fmt: skip


def draw_digits(random: np.random.Generator, classes: NDArray[np.int64], height: int, width: int) -> Pixels:
    """Draw one digit per class, white on black, in a random form of its class.

    Args:
        random: decides every stroke.
        classes: int64 [N], each from 0 to 9.
        height: of a picture, in pixels.
        width: of a picture, in pixels.

    Returns:
        uint8 [N, height, width, 1]. The longer side of a drawing is 20/28 of the picture's; its centre of mass is in
        the middle.
    """
    pictures = np.empty((len(classes), height, width, 1), np.uint8)
    for index, digit in enumerate(classes):
        form = _draw_one(random) if digit == 1 else _choose_form(random, CLASSES[digit])
        pictures[index, ..., 0] = _render(random, form, height, width)
    return pictures


def _choose_form(random: np.random.Generator, name: str) -> Form:
    forms = FORMS[name]
    return forms[random.integers(len(forms))]


def _draw_one(random: np.random.Generator) -> Form:
    """Return a 1: a bar, with or without an upstroke of any length, with or without a foot."""
    top = random.uniform(0.35, 0.75)
    bottom = top + random.uniform(-0.15, 0.1)
    stem: Points = [(top, 0), (bottom, 1)]
    strokes = [stem]
    if random.random() < 0.85:
        # The upstroke's lower end is below the top by 18 to 100 % of the height. A long upstroke reaches further.
        fall = random.uniform(0.18, 1)
        reach = random.uniform(0.4, 1.3) * min(1, 0.3 + fall)
        stem[:0] = [(top - reach, fall), (top - reach * 0.45, fall * random.uniform(0.35, 0.6)), (top, 0)]
    if random.random() < 0.35:
        half = random.uniform(0.2, 0.55)
        strokes.append([(bottom - half, 1), (bottom + half, 1 + random.uniform(-0.04, 0.04))])
    return Form(tuple(strokes), (0.35, 0.75))


def _render(random: np.random.Generator, form: Form, height: int, width: int) -> Pixels:
    """Draw a form with shaken points, a random slant, aspect and stroke width: uint8 [height, width]."""
    aspect, slant = random.uniform(*form.aspect), random.uniform(-0.1, 0.4)
    shake = random.uniform(0.01, 0.06)
    curves = []
    for stroke in form.strokes:
        for piece in _split_at_corners(_shake(random, stroke, shake)):
            curve = _smooth(piece)
            slanted = curve[:, 0] * aspect + (0.5 - curve[:, 1]) * slant
            curves.append(np.stack([slanted, curve[:, 1]], axis=1))
    points = np.concatenate(curves)
    low, extent = points.min(0), max(np.ptp(points, axis=0).max(), 1e-6)
    box = BOX_SHARE * min(height, width) * DETAIL
    pen = box * MIN_PEN * (MAX_PEN / MIN_PEN) ** random.random()
    scale = (box - pen) / extent
    sides = np.ceil(np.ptp(points, axis=0) * scale + pen).astype(int) + 2
    canvas = Image.new("L", (int(sides[0]), int(sides[1])))
    pencil = ImageDraw.Draw(canvas)
    radius = pen / 2
    for curve in curves:
        path = [(float(x), float(y)) for x, y in (curve - low) * scale + radius + 0.5]
        pencil.line(path, fill=255, width=max(1, round(pen)), joint="curve")
        for x, y in (path[0], path[-1]):
            pencil.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return _centre(np.asarray(canvas), height, width)


def _centre(drawing: Pixels, height: int, width: int) -> Pixels:
    """Reduce a drawing by the factor `DETAIL` and put its centre of mass in the middle of a picture."""
    rows, columns = np.indices(drawing.shape)
    total = drawing.sum(dtype=np.float64)
    y, x = (float((drawing * places).sum() / total) for places in (rows, columns))
    canvas = Image.fromarray(drawing)
    # Pillow's map leads from a pixel of the result to the source.
    affine = (1, 0, x + 0.5 - width * DETAIL / 2, 0, 1, y + 0.5 - height * DETAIL / 2)
    large = canvas.transform((width * DETAIL, height * DETAIL), Image.Transform.AFFINE, affine)
    return np.asarray(large.resize((width, height), Image.Resampling.BOX))


def _shake(random: np.random.Generator, stroke: Points, amount: float) -> Points:
    """Move each point by a random distance. Equal points move together, so that corners and joints remain."""
    moved: dict[tuple[float, float], tuple[float, float]] = {}
    for x, y in stroke:
        if (x, y) not in moved:
            moved[x, y] = (x + float(random.normal(0, amount)), y + float(random.normal(0, amount)))
    return [moved[point] for point in stroke]


def _split_at_corners(stroke: Points) -> list[Points]:
    """Split a stroke where a point occurs twice in succession."""
    pieces: list[Points] = [[]]
    for point in stroke:
        if pieces[-1] and pieces[-1][-1] == point:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _smooth(points: Points) -> NDArray[np.float64]:
    """Return points on the Catmull-Rom spline through the given points: float64 [n, 2]."""
    given = np.array(points)
    if len(given) < 3:
        return given
    padded = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    t = (np.arange(CURVE_STEPS) / CURVE_STEPS).reshape(-1, 1, 1)
    p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), given[-1:]])
