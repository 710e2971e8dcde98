"""Accuracy and warnings on pictures that MNIST does not have: inverted, cropped, framed, scaled and blank ones.

    .venv/test/bin/python -m benchmarks.pictures [--digits 600] [--blank 1000] [--drawn 1000]

The welcome model classifies MNIST's test digits in this process, by the forward pass of `shared/network/reference.py`.
Its classes are those of every backend. Seeds make every run the same. MNIST is read as trainings read it.
"""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.photographs import encode_picture, photograph
from shared.data import datasets, images
from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER
from shared.network.reference import forward
from shared.network.weights import Weights, from_bytes
from shared.settings import Settings

GreyImage = NDArray[np.uint8]
BATCH = 100
SIZES = (28, 56, 280, 1200)
BLANK_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")


def prepare(data: bytes) -> images.PreparedPicture:
    """Return a file's picture as the welcome model takes it."""
    return images.prepare_picture(data, (28, 28, 1), "picture", preparation="ink")


def crop(digit: GreyImage, margin: int) -> GreyImage:
    """Return a digit [28, 28] cropped to its ink, with a margin of black pixels."""
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    return np.pad(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], margin)


def scale(pixels: GreyImage, size: int) -> GreyImage:
    """Return pixels [h, w] scaled so that the longer side has `size` pixels."""
    factor = size / max(pixels.shape)
    height, width = (max(1, round(side * factor)) for side in pixels.shape)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def list_variants() -> Iterator[tuple[str, Callable[[GreyImage, int], Image.Image]]]:
    """Yield each way of changing a digit: its name, and a function of the digit and a seed."""
    yield "as MNIST has it", lambda digit, _: Image.fromarray(digit)
    yield "inverted, L", lambda digit, _: Image.fromarray(255 - digit)
    yield "inverted, RGB", lambda digit, _: Image.fromarray(255 - digit).convert("RGB")
    for polarity in (0, 255):
        paper = "black" if polarity == 0 else "white"
        for size in SIZES:
            yield f"on {paper}, {size} pixels", lambda d, _, s=size, p=polarity: Image.fromarray(scale(p ^ d, s))
            for margin in (0, 1, 2):
                yield (
                    f"on {paper}, cropped, margin {margin}, {size} pixels",
                    lambda d, _, m=margin, s=size, p=polarity: Image.fromarray(scale(p ^ crop(d, m), s)),
                )
            for frame in (0, 128, 255):
                yield (
                    f"on {paper}, on a margin of {frame}, {size} pixels",
                    lambda d, seed, f=frame, s=size, p=polarity: Image.fromarray(
                        scale(add_frame(p ^ d, f, s, seed), s)
                    ),
                )


def add_frame(digit: GreyImage, brightness: int, size: int, seed: int) -> GreyImage:
    """Return a digit with a blank margin of random width. At 28 pixels it is narrow: a digit needs some pixels."""
    width = np.random.Generator(np.random.PCG64([11, seed])).integers(2, 5 if size == 28 else 30)
    return np.pad(digit, int(width), constant_values=brightness)


def blank_picture(seed: int) -> tuple[bytes, str]:
    """Return a blank picture of random size, mode, brightness and faint noise, and what it is."""
    random = np.random.Generator(np.random.PCG64([12, seed]))
    height, width = (28, 28) if seed % 5 == 0 else (int(side) for side in np.exp(random.uniform(1, 7, 2)))
    brightness = int(
        random.choice([0, 255, random.integers(0, 256), random.integers(0, 12), random.integers(244, 256)])
    )
    deviation = float(random.choice([0, 1, 2, 4, 6]) * random.random())
    values = np.clip(brightness + random.normal(0, deviation, (height, width)), 0, 255)
    grey = np.rint(values).astype(np.uint8)
    mode = BLANK_MODES[seed % len(BLANK_MODES)]
    kind = "TIFF" if mode in ("I", "F", "CMYK") else str(random.choice(["PNG", "TIFF"]))
    match mode:
        case "1":
            image = Image.new("1", (width, height), int(brightness > 127))
        case "I;16":
            image = Image.fromarray(np.rint(values * random.choice([1, 16, 257])).astype(np.uint16))
        case "I":
            image = Image.fromarray(np.rint(values * random.choice([1, 257, 2**22])).astype(np.int32))
        case "F":
            image = Image.fromarray((values / random.choice([1, 255])).astype(np.float32))
        case "LA" | "RGBA":
            image = Image.fromarray(grey).convert(mode)
            image.putalpha(int(random.choice([0, 100, 255])))
        case "L" | "RGB":
            image, kind = Image.fromarray(grey).convert(mode), str(random.choice(["PNG", "JPEG", "WEBP", "BMP", "GIF"]))
        case _:
            image = Image.fromarray(grey).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue(), f"{mode} {kind} {width} x {height}, brightness {brightness}, noise {deviation:.1f}"


def draw_on_paper(digit: GreyImage, seed: int) -> bytes:
    """Return a single digit on a larger, clean sheet; every second one as a photograph."""
    if seed % 2:
        return encode_picture(photograph(digit, seed))
    random = np.random.Generator(np.random.PCG64([13, seed]))
    side, paper = int(random.integers(60, 800)), int(random.integers(120, 256))
    ink, size = int(random.integers(0, paper - 60)), int(side * random.uniform(0.3, 0.9))
    coverage = cv2.resize(digit, (size, size), interpolation=cv2.INTER_CUBIC) / 255
    sheet = np.full((side, side), float(paper))
    top, left = random.integers(0, side - size + 1, 2)
    sheet[top : top + size, left : left + size] += (ink - paper) * coverage
    grey = np.clip(sheet + random.normal(0, random.uniform(0, 4), sheet.shape), 0, 255).astype(np.uint8)
    return encode_picture(255 - grey if seed % 4 else grey, "PNG")


def classify(description: ModelDescription, weights: Weights, pixels: GreyImage) -> NDArray[np.int64]:
    """Return the welcome model's classes of pictures uint8 [N, 28, 28, 1]."""
    batches = np.split(pixels, range(BATCH, len(pixels), BATCH))
    logits = [forward(description.network, weights, batch, training=False)[-1] for batch in batches]
    return np.concatenate(logits).argmax(1)


def main(digit_count: int, blank_count: int, drawn_count: int) -> int:
    """Run the benchmark and print its tables.

    Args:
        digit_count: how many of MNIST's test digits are changed in each way.
        blank_count: how many blank pictures are prepared.
        drawn_count: how many of MNIST's test digits are drawn on paper.
    """
    settings = Settings.from_env()
    mnist = datasets.find("mnist", settings)
    datasets.ensure_cached(mnist, settings)
    split = datasets.read(mnist, "test", settings, max(digit_count, drawn_count))
    digits, labels = split.images[..., 0], split.labels[:digit_count]
    description = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())
    weights = from_bytes((STARTER_FOLDER / WEIGHTS).read_bytes(), description.network)
    console = Console()
    table = Table("the first digits of MNIST's test split", "right", "with a warning")
    for name, change in list_variants():
        prepared = [prepare(_as_png(change(digits[seed], seed))) for seed in range(digit_count)]
        classes = classify(description, weights, np.stack([picture.pixels for picture in prepared]))
        warned = sum(bool(picture.warnings) for picture in prepared)
        table.add_row(name, f"{(classes == labels).mean():.1%}", str(warned))
    console.print(table)
    missed = []
    for seed in range(blank_count):
        data, what = blank_picture(seed)
        if images.NO_INK not in prepare(data).warnings:
            missed.append(what)
    console.print(f"{blank_count} blank pictures, {blank_count - len(missed)} with the warning. Without it: {missed}")
    warnings = [prepare(draw_on_paper(digits[seed], seed)).warnings for seed in range(drawn_count)]
    kinds = Counter(warning for each in warnings for warning in each)
    console.print(f"{drawn_count} digits on paper, {sum(map(bool, warnings))} with a false warning: {dict(kinds)}")
    return 0


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=int, default=600)
    parser.add_argument("--blank", type=int, default=1000)
    parser.add_argument("--drawn", type=int, default=1000)
    arguments = parser.parse_args()
    sys.exit(main(arguments.digits, arguments.blank, arguments.drawn))
