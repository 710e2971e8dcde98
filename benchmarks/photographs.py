"""Digits as people send them: MNIST's test pictures redrawn as photographs of ink on paper, and what is made of them.

    .venv/test/bin/python -m benchmarks.photographs [--epochs 12] [--digits 2000]

Trains `cnn` on MNIST in every backend, asks about the same digits plain and as
photographs, and times the preparing alone: of 1,000 pixels, and of a JPEG of
48 megapixels in a process of its own, with the memory it takes at most.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.cli.client import Client
from shared.data import datasets, images

BATCH = 64  # pictures in one request
ROUNDS = 100
MODEL = "photographs"
TRAINING = {"network": "cnn", "dataset": "mnist", "name": MODEL, "optimizer": {"name": "adam", "learning_rate": 0.001}}
LARGE = """
import resource, sys, time
from pathlib import Path
from shared.data import images
data = Path(sys.argv[1]).read_bytes()
begun = time.perf_counter()
images.prepare_picture(data, (28, 28, 1), "large.jpg", preparation="ink")
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


def photograph(digit: NDArray[np.uint8], seed: int, side: int | None = None) -> NDArray[np.uint8]:
    """A digit uint8 [28, 28] in dark ink on unevenly lit, noisy, slightly tilted paper, off centre; grey [h, w].

    Args:
        seed: of everything that chance decides.
        side: of the longer side in pixels; by default 200 to 1,200, drawn.
    """
    random = np.random.Generator(np.random.PCG64([8, seed]))
    side = side or int(random.integers(200, 1201))
    height, width = side, round(side * random.uniform(0.7, 1))
    if random.random() < 0.5:
        height, width = width, height
    # The ink: enlarged, sharpened to a pen's edge, tilted, placed anywhere that it fits.
    size = random.uniform(0.3, 0.8) * min(height, width)
    scale, angle = size / 28, random.uniform(-10, 10)
    turn = cv2.getRotationMatrix2D((13.5, 13.5), angle, scale)
    free = (width - size, height - size)
    turn[:, 2] += np.array([random.uniform(0.05, 0.95) * f + size / 2 for f in free]) - 13.5
    ink = cv2.warpAffine(digit, turn, (width, height), flags=cv2.INTER_CUBIC).astype(np.float32) / 255
    ink = np.clip((ink - 0.5) * max(1.0, scale / 3) + 0.5, 0, 1)
    # The paper: brightness falls off along a slope and towards one lamp, and a shadow's soft edge crosses it.
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / side
    slope, lamp = random.uniform(-0.4, 0.4, 2), random.uniform(0, 1, 2)
    light = 1 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5) - 0.3 * ((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2)
    shadow, where = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.8)
    light *= 1 - random.uniform(0, 0.3) / (
        1 + np.exp((np.cos(shadow) * (x - where) + np.sin(shadow) * (y - where)) * 12)
    )
    paper, dark = random.uniform(150, 235), random.uniform(0.15, 0.6)
    grey = paper * light * (1 - ink * (1 - dark)) + random.normal(0, random.uniform(2, 8), (height, width))
    grey = cv2.GaussianBlur(grey, (0, 0), random.uniform(0.3, 1 + side / 1000))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def encoded(picture: NDArray[np.uint8], format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, quality=80)
    return buffer.getvalue()


def accuracy(
    client: Client, pictures: list[bytes], labels: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, int]]:
    """The share of pictures that each backend is right about, and how often each warning came."""
    right: dict[str, int] = {}
    warnings: dict[str, int] = {}
    for start in range(0, len(pictures), BATCH):
        files = [("image", (f"{start + at}", data)) for at, data in enumerate(pictures[start : start + BATCH])]
        answer = requests.post(f"{client.url}/v1/predictions", params={"model": MODEL}, files=files, timeout=60)
        answer.raise_for_status()
        for at, found in enumerate(answer.json()["images"], start):
            for backend, result in found["results"].items():
                right[backend] = right.get(backend, 0) + (result["label"] == labels[at])
            for warning in found["warnings"]:
                warnings[warning] = warnings.get(warning, 0) + 1
    return {backend: count / len(pictures) for backend, count in right.items()}, warnings


def preparing_ms(digits: NDArray[np.uint8]) -> list[float]:
    """Decoding and preparing a photograph of 1,000 pixels, one after the other."""
    times = []
    for seed, digit in enumerate(digits):
        data = encoded(photograph(digit, seed, 1000))
        begun = time.perf_counter()
        images.prepare_picture(data, (28, 28, 1), "photograph.jpg", preparation="ink")
        times.append((time.perf_counter() - begun) * 1000)
    return times[len(times) // 10 :]  # the first ones warm up


def large(digit: NDArray[np.uint8], folder: Path) -> tuple[float, float]:
    """Seconds and megabytes of a process that prepares one JPEG of 8,000 x 6,000, and imports OpenCV for it."""
    picture = cv2.resize(photograph(digit, 0, 1000), (8000, 6000), interpolation=cv2.INTER_LINEAR)
    (folder / "large.jpg").write_bytes(encoded(picture))
    command = [sys.executable, "-c", LARGE, str(folder / "large.jpg")]
    seconds, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def drawn(digits: NDArray[np.uint8]) -> Image.Image:
    """Photographs, what the model sees of them, and the digits that they were drawn from, below each other."""
    tile, gap = 84, 2
    sheet = Image.new("L", (len(digits) * (tile + gap), 3 * (tile + gap)), 128)
    for seed, digit in enumerate(digits):
        data = encoded(photograph(digit, seed))
        seen = images.prepare_picture(data, (28, 28, 1), "photograph.jpg", preparation="ink").pixels[..., 0]
        for row, picture in enumerate((Image.open(io.BytesIO(data)), Image.fromarray(seen), Image.fromarray(digit))):
            place = (seed * (tile + gap), row * (tile + gap))
            sheet.paste(picture.resize((tile, tile), Image.Resampling.BOX), place)
    return sheet


def main(epochs: int, count: int) -> int:
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, settings):
        training = client.post("/v1/trainings", {**TRAINING, "epochs": epochs})
        mnist = datasets.find("mnist", settings)
        digits = datasets.read(mnist, "test", settings, count)
        plain = [encoded(digit[..., 0], "PNG") for digit in digits.images]
        photographs = [encoded(photograph(digit[..., 0], seed)) for seed, digit in enumerate(digits.images)]
        client.follow(f"/v1/trainings/{training['id']}")
        before, _ = accuracy(client, plain, digits.labels)
        after, warnings = accuracy(client, photographs, digits.labels)
    times = preparing_ms(digits.images[:ROUNDS, ..., 0])
    with tempfile.TemporaryDirectory() as folder:
        seconds, megabytes = large(digits.images[0, ..., 0], Path(folder))

    table = Table(title=f"{count:,} digits, cnn after {epochs} epochs")
    for column in ("backend", "plain", "as photographs", "lost, points"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for backend in before:
        lost = 100 * (before[backend] - after[backend])
        table.add_row(backend, f"{before[backend]:.2%}", f"{after[backend]:.2%}", f"{lost:.2f}")
    console = Console()
    console.print(table)
    for warning, often in warnings.items():
        console.print(f"{warning}: {often} times")
    console.print(f"1,000 pixels, decoded and prepared: {median(times):.1f} ms, the median of {len(times)}")
    console.print(f"48 megapixels, JPEG: {seconds:.2f} s, {megabytes:.0f} MB at the most, in a process of its own")
    results = Path(".tandem/bench")
    results.mkdir(parents=True, exist_ok=True)
    found = {"plain": before, "photographs": after, "warnings": warnings, "ms": times, "large": [seconds, megabytes]}
    (results / "photographs.json").write_text(json.dumps(found, indent=1))
    drawn(digits.images[:12, ..., 0]).save(results / "photographs.png")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--digits", type=int, default=2000)
    asked = parser.parse_args()
    sys.exit(main(asked.epochs, asked.digits))
