"""Accuracy of the starter model on digits that no training has seen: drawn strokes, fonts, and other data sets.

    .venv/test/bin/python -m benchmarks.handwriting [--model FOLDER] [--fonts FOLDER]

The pictures are drawn as a user would draw them, dark on light and of any size. They are prepared by `cut_out_ink`, as
the gateway prepares a posted picture, and classified by the NumPy reference of the starter model's network.

The drawn digits are a small check: 23 forms that one programmer thought of, not the handwriting of 23 people. Their
strokes are straight lines and arcs. `shared.data.drawn_digits`, which draws digits for trainings, has other forms.
`--fonts` adds the digits of all font files in a folder, for example of Debian's fonts that imitate handwriting.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from shared.data import datasets
from shared.data.ink import cut_out_ink
from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER
from shared.network.reference import forward
from shared.network.weights import Weights, from_bytes
from shared.settings import Settings

Pixels = NDArray[np.uint8]
Path2D = NDArray[np.float64]  # [n, 2]: x to the right, y downwards, in a box of side 1

PICTURES_PER_FORM = 24
PENS = (0.0, 0.03, 0.06, 0.1, 0.16)  # The pen's width as a share of the digit's height; 0 is one pixel.
BLACK = 0.35  # Pixels of Semeion are black or white: a stretched digit is black above this share of full ink.


def line(*points: tuple[float, float]) -> Path2D:
    """Return straight lines through points."""
    return np.array(points, float)


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> Path2D:
    """Return an arc of an ellipse.

    Args:
        x: of the centre.
        y: of the centre.
        width: half of the ellipse's width.
        height: half of the ellipse's height.
        start: in degrees; 0 is on the right and 90 at the bottom.
        end: in degrees.
    """
    angles = np.radians(np.linspace(start, end, 40))
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def join(*paths: Path2D) -> Path2D:
    """Return one path that runs through several paths."""
    return np.concatenate(paths)


def european_one(fall: float, has_foot: bool) -> list[Path2D]:
    """Return a 1 whose upstroke begins `fall` of the height below its top."""
    strokes = [line((0.35 - 0.55 * fall, fall), (0.42, 0), (0.42, 1))]
    return [*strokes, line((0.15, 1), (0.7, 1))] if has_foot else strokes


FORMS: dict[str, tuple[int, list[Path2D]]] = {
    "1, upstroke of 30 %": (1, european_one(0.3, False)),
    "1, upstroke of 60 %": (1, european_one(0.6, False)),
    "1, upstroke of 90 %": (1, european_one(0.9, False)),
    "1, upstroke of 30 %, foot": (1, european_one(0.3, True)),
    "1, upstroke of 60 %, foot": (1, european_one(0.6, True)),
    "1, upstroke of 90 %, foot": (1, european_one(0.9, True)),
    "1, plain": (1, [line((0.5, 0), (0.5, 1))]),
    "7, plain": (7, [line((0, 0), (0.62, 0), (0.25, 1))]),
    "7, crossed": (7, [line((0, 0), (0.65, 0), (0.25, 1)), line((0.15, 0.5), (0.68, 0.5))]),
    "7, crossed, with a hook": (7, [line((0, 0.15), (0, 0), (0.65, 0), (0.3, 1)), line((0.18, 0.55), (0.62, 0.5))]),
    "4, open": (4, [line((0.1, 0), (0, 0.55), (0.65, 0.55)), line((0.5, 0.1), (0.5, 1))]),
    "4, open, short stem": (4, [line((0.2, 0), (0, 0.6), (0.7, 0.6)), line((0.45, 0.4), (0.42, 1))]),
    "4, closed": (4, [line((0.5, 1), (0.5, 0), (0, 0.7), (0.75, 0.7))]),
    "9, hooked": (
        9,
        [arc(0.3, 0.25, 0.28, 0.25, 0, 360), join(line((0.58, 0.25)), arc(0.28, 0.75, 0.3, 0.25, 0, 150))],
    ),
    "9, straight": (9, [arc(0.3, 0.25, 0.28, 0.25, 0, 360), line((0.58, 0.2), (0.5, 1))]),
    "0": (0, [arc(0.32, 0.5, 0.32, 0.5, -80, 280)]),
    "2": (2, [join(arc(0.3, 0.28, 0.3, 0.28, 190, 390), line((0, 1), (0.65, 1)))]),
    "3, round": (3, [join(arc(0.25, 0.24, 0.28, 0.24, 200, 450), arc(0.25, 0.74, 0.33, 0.26, 270, 500))]),
    "3, flat": (3, [join(line((0, 0), (0.55, 0), (0.22, 0.4)), arc(0.22, 0.7, 0.34, 0.3, 270, 500))]),
    "5": (5, [join(line((0.55, 0), (0.08, 0), (0.03, 0.45)), arc(0.22, 0.68, 0.36, 0.32, 240, 500))]),
    "6": (6, [join(line((0.45, 0), (0.08, 0.55)), arc(0.3, 0.72, 0.28, 0.28, 200, 560))]),
    "6, straight": (6, [join(line((0.02, 0), (0.02, 0.7)), arc(0.3, 0.72, 0.28, 0.28, 180, 530))]),
    "8": (8, [arc(0.3, 0.23, 0.22, 0.23, 90, 450), arc(0.3, 0.73, 0.29, 0.27, -90, 270)]),
}  # fmt: skip


@dataclass
class CheckSet:
    """Pictures with their labels.

    Attributes:
        name: for the table.
        pictures: uint8 [h, w] each, of any size, dark on light.
        labels: the digit of each picture.
    """

    name: str
    pictures: list[Pixels]
    labels: list[int]


def draw_form(strokes: list[Path2D], random: np.random.Generator, pen: float, is_square: bool = False) -> Pixels:
    """Draw a form as a picture: dark on light, of random size, slant, proportions and unsteadiness.

    Args:
        strokes: the form's paths.
        random: decides every random number.
        pen: width of the pen, as a share of the digit's height; 0 is one pixel.
        is_square: whether the digit is stretched until its width equals its height.
    """
    size = int(random.integers(50, 400))
    slant, aspect = random.uniform(-0.1, 0.3), random.uniform(0.75, 1.25)
    paths = []
    for stroke in strokes:
        dense = _densify(stroke)
        # A slow wave moves the pen: an unsteady hand.
        wave = np.sin(np.cumsum(np.full(len(dense), 0.07)) * random.uniform(0.5, 1.5) + random.uniform(0, 6.28))
        dense = dense + wave[:, None] * random.uniform(-0.025, 0.025, 2)
        paths.append(np.stack([dense[:, 0] * aspect - dense[:, 1] * slant, dense[:, 1]], axis=1))
    every = np.concatenate(paths)
    low, extent = every.min(0), np.ptp(every, axis=0)
    scale = size / np.where([is_square, is_square], np.maximum(extent, 0.25), extent.max())
    width = max(1, round(pen * size))
    margin = width + int(random.integers(4, size))
    columns, rows = np.ceil(extent * scale).astype(int) + 2 * margin
    sheet = np.full((rows, columns), random.integers(200, 256), np.uint8)
    ink = int(random.integers(0, 90))
    for path in paths:
        points = np.rint((path - low) * scale + margin).astype(np.int32)
        cv2.polylines(sheet, [points.reshape(-1, 1, 2)], False, ink, width, cv2.LINE_AA if width > 1 else cv2.LINE_8)
    return sheet


def _densify(path: Path2D) -> Path2D:
    """Return a path with points every hundredth of the box's side."""
    lengths = np.r_[0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))]
    places = np.linspace(0, lengths[-1], max(2, int(lengths[-1] * 100)))
    return np.stack([np.interp(places, lengths, path[:, axis]) for axis in (0, 1)], axis=1)


def draw_forms(is_square: bool = False) -> list[CheckSet]:
    """Draw every form with pens of all widths: one check set per form."""
    sets = []
    for number, (name, (label, strokes)) in enumerate(FORMS.items()):
        random = np.random.Generator(np.random.PCG64([17, number, is_square]))
        pictures = [draw_form(strokes, random, PENS[i % len(PENS)], is_square) for i in range(PICTURES_PER_FORM)]
        sets.append(CheckSet(name, pictures, [label] * len(pictures)))
    return sets


def draw_fonts(folder: Path) -> list[CheckSet]:
    """Draw the digits of every font file in a folder: one check set per font, in three sizes."""
    sets = []
    for file in sorted([*folder.rglob("*.ttf"), *folder.rglob("*.otf")]):
        pictures = []
        for size in (30, 80, 250):
            font = ImageFont.truetype(file, size)
            for digit in "0123456789":
                sheet = Image.new("L", (3 * size, 3 * size), 245)
                ImageDraw.Draw(sheet).text((size, size), digit, fill=30, font=font)
                pictures.append(np.asarray(sheet))
        sets.append(CheckSet(file.stem, pictures, [*range(10)] * 3))
    return sets


def enlarge_digits(settings: Settings) -> CheckSet:
    """Return the embedded data set `digits` (8 x 8 pixels, 43 writers), enlarged to 128 x 128, dark on light."""
    data = [datasets.read(datasets.find("digits", settings), split, settings) for split in ("train", "test")]
    images, labels = (np.concatenate(arrays) for arrays in ([d.images for d in data], [d.labels for d in data]))
    pictures = []
    for image in images[..., 0]:
        padded = np.pad(image, 2)
        large = cv2.resize(padded, (192, 192), interpolation=cv2.INTER_CUBIC)
        pictures.append(np.where(large > 127, 30, 240).astype(np.uint8))
    return CheckSet("UCI digits, enlarged", pictures, labels.tolist())


def stretch_mnist(settings: Settings, count: int) -> CheckSet:
    """Return MNIST's first test digits, stretched to 16 x 16 black or white pixels, as Semeion's digits are."""
    mnist = datasets.find("mnist", settings)
    datasets.ensure_cached(mnist, settings)
    data = datasets.read(mnist, "test", settings, count)
    pictures = []
    for image in data.images[..., 0]:
        x, y, w, h = cv2.boundingRect((image > 64).astype(np.uint8))
        small = cv2.resize(image[y : y + h, x : x + w], (16, 16), interpolation=cv2.INTER_AREA)
        pictures.append(np.where(np.pad(small, 6) > 255 * BLACK, 0, 255).astype(np.uint8))
    return CheckSet("MNIST's test digits, stretched to 16 x 16", pictures, data.labels.tolist())


def prepare(check: CheckSet) -> Pixels:
    """Prepare pictures as the gateway does: uint8 [N, 28, 28, 1]. A picture without ink is black."""
    prepared = np.zeros((len(check.pictures), 28, 28, 1), np.uint8)
    for index, picture in enumerate(check.pictures):
        ink, _ = cut_out_ink(picture, 28, 28)
        if ink is not None:
            prepared[index, ..., 0] = ink
    return prepared


def count_correct(check: CheckSet, description: ModelDescription, weights: Weights) -> int:
    """Return how many pictures of a check set the model classifies correctly."""
    images, correct = prepare(check), 0
    for start in range(0, len(images), 200):
        part = slice(start, start + 200)
        logits = forward(description.network, weights, images[part], training=False)[-1]
        correct += int((logits.argmax(1) == np.array(check.labels[part])).sum())
    return correct


def main(model: Path, fonts: Path | None) -> int:
    """Measure every check set and print a table.

    Args:
        model: a folder with the weights and the description of a model of MNIST's digits.
        fonts: a folder with font files; None leaves the fonts out.
    """
    settings = Settings.from_env()
    description = ModelDescription.model_validate_json((model / MANIFEST).read_bytes())
    weights = from_bytes((model / WEIGHTS).read_bytes(), description.network)
    groups = {
        "drawn": draw_forms(),
        "drawn, stretched to a square": draw_forms(is_square=True),
        "fonts": draw_fonts(fonts) if fonts else [],
        "data": [enlarge_digits(settings), stretch_mnist(settings, 2000)],
    }
    table = Table("group", "check set", "pictures", "correct", title="digits outside the training data")
    for group, checks in groups.items():
        scores = [count_correct(check, description, weights) for check in checks]
        for check, correct in zip(checks, scores, strict=True):
            table.add_row(group, check.name, f"{len(check.labels):,}", f"{correct / len(check.labels):.1%}")
        if len(checks) > 1 and group != "data":
            count = sum(len(check.labels) for check in checks)
            table.add_row(group, "all", f"{count:,}", f"{sum(scores) / count:.1%}", end_section=True)
    Console().print(table)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=STARTER_FOLDER)
    parser.add_argument("--fonts", type=Path)
    arguments = parser.parse_args()
    sys.exit(main(arguments.model, arguments.fonts))
