"""Accuracy on digits as people send them: MNIST's test pictures redrawn as photographs of ink on paper.

    .venv/test/bin/python -m benchmarks.photographs [--epochs 12] [--digits 2000]

The benchmark trains `cnn` on MNIST in every backend. It posts the same digits plain and as photographs and prints both
accuracies. It also times how long decoding and preparing take: for photographs whose longer side has 1,000 pixels,
and for a JPEG of 48 megapixels in a process of its own, with that process's peak memory.
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

PICTURES_PER_REQUEST = 64
TIMED_PHOTOGRAPHS = 100
MODEL = "photographs"
TRAINING = {"network": "cnn", "dataset": "mnist", "name": MODEL, "optimizer": {"name": "adam", "learning_rate": 0.001}}
# Prepares one file in a process of its own. Prints the seconds that takes and the peak memory in megabytes.
PREPARE_ONE_FILE = """
import resource, sys, time
from pathlib import Path
from shared.data import images
data = Path(sys.argv[1]).read_bytes()
started = time.perf_counter()
images.prepare_picture(data, (28, 28, 1), "large.jpg", preparation="ink")
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


def photograph(digit: NDArray[np.uint8], seed: int, side: int | None = None) -> NDArray[np.uint8]:
    """Draw a digit as a photograph: dark ink on unevenly lit, noisy paper, slightly tilted, at a random place.

    Args:
        digit: uint8 [28, 28], white on black.
        seed: decides every random number.
        side: pixels of the longer side; by default a random number from 200 to 1,200.

    Returns:
        The photograph in grey, uint8 [h, w].
    """
    random = np.random.Generator(np.random.PCG64([8, seed]))
    side = side or int(random.integers(200, 1201))
    height, width = side, round(side * random.uniform(0.7, 1))
    if random.random() < 0.5:
        height, width = width, height
    # The ink is enlarged, sharpened to the edge of a pen, tilted, and placed anywhere that it fits.
    size = random.uniform(0.3, 0.8) * min(height, width)
    scale, angle = size / 28, random.uniform(-10, 10)
    placement = cv2.getRotationMatrix2D((13.5, 13.5), angle, scale)
    margins = (width - size, height - size)
    placement[:, 2] += np.array([random.uniform(0.05, 0.95) * margin + size / 2 for margin in margins]) - 13.5
    ink = cv2.warpAffine(digit, placement, (width, height), flags=cv2.INTER_CUBIC).astype(np.float32) / 255
    ink = np.clip((ink - 0.5) * max(1.0, scale / 3) + 0.5, 0, 1)
    # The paper's brightness falls off along a slope and away from a lamp. The soft edge of a shadow crosses it.
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / side
    slope, lamp = random.uniform(-0.4, 0.4, 2), random.uniform(0, 1, 2)
    light = 1 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5) - 0.3 * ((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2)
    direction, where = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.8)
    distance = np.cos(direction) * (x - where) + np.sin(direction) * (y - where)
    light *= 1 - random.uniform(0, 0.3) / (1 + np.exp(distance * 12))
    paper, ink_brightness = random.uniform(150, 235), random.uniform(0.15, 0.6)
    grey = paper * light * (1 - ink * (1 - ink_brightness)) + random.normal(0, random.uniform(2, 8), (height, width))
    grey = cv2.GaussianBlur(grey, (0, 0), random.uniform(0.3, 1 + side / 1000))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def encode_picture(pixels: NDArray[np.uint8], format: str = "JPEG") -> bytes:
    """Return pixels uint8 [h, w] as a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, quality=80)
    return buffer.getvalue()


def measure_accuracy(
    client: Client, pictures: list[bytes], labels: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, int]]:
    """Post pictures, and compare the predictions with the labels.

    Args:
        client: of the gateway.
        pictures: N files.
        labels: int64 [N].

    Returns:
        The accuracy of each backend, and how often each warning occurred.
    """
    correct: dict[str, int] = {}
    warnings: dict[str, int] = {}
    for start in range(0, len(pictures), PICTURES_PER_REQUEST):
        batch = pictures[start : start + PICTURES_PER_REQUEST]
        files = [("image", (f"{start + index}", data)) for index, data in enumerate(batch)]
        answer = requests.post(f"{client.url}/v1/predictions", params={"model": MODEL}, files=files, timeout=60)
        answer.raise_for_status()
        for index, image in enumerate(answer.json()["images"], start):
            for backend, result in image["results"].items():
                correct[backend] = correct.get(backend, 0) + (result["label"] == labels[index])
            for warning in image["warnings"]:
                warnings[warning] = warnings.get(warning, 0) + 1
    return {backend: count / len(pictures) for backend, count in correct.items()}, warnings


def time_preparing(digits: NDArray[np.uint8]) -> list[float]:
    """Return the milliseconds that decoding and preparing each digit's photograph of 1,000 pixels takes.

    Args:
        digits: uint8 [N, 28, 28].
    """
    times_ms = []
    for seed, digit in enumerate(digits):
        data = encode_picture(photograph(digit, seed, 1000))
        started = time.perf_counter()
        images.prepare_picture(data, (28, 28, 1), "photograph.jpg", preparation="ink")
        times_ms.append((time.perf_counter() - started) * 1000)
    return times_ms[len(times_ms) // 10 :]  # The first tenth is the warm-up.


def measure_large_picture(digit: NDArray[np.uint8], folder: Path) -> tuple[float, float]:
    """Prepare one JPEG of 8,000 x 6,000 pixels in a process of its own, which also imports OpenCV.

    Args:
        digit: uint8 [28, 28].
        folder: where the JPEG is written.

    Returns:
        Seconds, and the peak memory in megabytes.
    """
    picture = cv2.resize(photograph(digit, 0, 1000), (8000, 6000), interpolation=cv2.INTER_LINEAR)
    (folder / "large.jpg").write_bytes(encode_picture(picture))
    command = [sys.executable, "-c", PREPARE_ONE_FILE, str(folder / "large.jpg")]
    seconds, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def draw_overview(digits: NDArray[np.uint8]) -> Image.Image:
    """Draw three rows: photographs, the pixels that the model gets of them, and the original digits.

    Args:
        digits: uint8 [N, 28, 28].
    """
    tile, gap = 84, 2
    sheet = Image.new("L", (len(digits) * (tile + gap), 3 * (tile + gap)), 128)
    for seed, digit in enumerate(digits):
        data = encode_picture(photograph(digit, seed))
        prepared = images.prepare_picture(data, (28, 28, 1), "photograph.jpg", preparation="ink").pixels[..., 0]
        rows = (Image.open(io.BytesIO(data)), Image.fromarray(prepared), Image.fromarray(digit))
        for row, picture in enumerate(rows):
            place = (seed * (tile + gap), row * (tile + gap))
            sheet.paste(picture.resize((tile, tile), Image.Resampling.BOX), place)
    return sheet


def main(epochs: int, count: int) -> int:
    """Run the benchmark, print its tables, and write `.tandem/bench/photographs.json` and `.png`.

    Args:
        epochs: how long `cnn` is trained.
        count: how many of MNIST's test digits are posted.
    """
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, settings):
        training = client.post("/v1/trainings", {**TRAINING, "epochs": epochs})
        mnist = datasets.find("mnist", settings)
        digits = datasets.read(mnist, "test", settings, count)
        plain = [encode_picture(digit[..., 0], "PNG") for digit in digits.images]
        photographs = [encode_picture(photograph(digit[..., 0], seed)) for seed, digit in enumerate(digits.images)]
        client.follow(f"/v1/trainings/{training['id']}")
        plain_accuracy, _ = measure_accuracy(client, plain, digits.labels)
        photograph_accuracy, warnings = measure_accuracy(client, photographs, digits.labels)
    times_ms = time_preparing(digits.images[:TIMED_PHOTOGRAPHS, ..., 0])
    with tempfile.TemporaryDirectory() as folder:
        seconds, megabytes = measure_large_picture(digits.images[0, ..., 0], Path(folder))

    table = Table(title=f"{count:,} digits, cnn after {epochs} epochs")
    for column in ("backend", "plain", "as photographs", "lost, points"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for backend, plain_share in plain_accuracy.items():
        photograph_share = photograph_accuracy[backend]
        lost = 100 * (plain_share - photograph_share)
        table.add_row(backend, f"{plain_share:.2%}", f"{photograph_share:.2%}", f"{lost:.2f}")
    console = Console()
    console.print(table)
    for warning, occurrences in warnings.items():
        console.print(f"{warning}: {occurrences} times")
    console.print(f"1,000 pixels, decoded and prepared: {median(times_ms):.1f} ms, the median of {len(times_ms)}")
    console.print(f"JPEG of 48 megapixels: {seconds:.2f} s, peak memory {megabytes:.0f} MB, in a process of its own")
    results = Path(".tandem/bench")
    results.mkdir(parents=True, exist_ok=True)
    figures = {
        "plain": plain_accuracy,
        "photographs": photograph_accuracy,
        "warnings": warnings,
        "ms": times_ms,
        "large": [seconds, megabytes],
    }
    (results / "photographs.json").write_text(json.dumps(figures, indent=1))
    draw_overview(digits.images[:12, ..., 0]).save(results / "photographs.png")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--digits", type=int, default=2000)
    arguments = parser.parse_args()
    sys.exit(main(arguments.epochs, arguments.digits))
