"""Measure how much large pictures delay small ones. Connections post a PNG of 30 million pixels without pause.

    .venv/test/bin/python -m benchmarks.stall [--seconds 20] [--connections 4]

A PNG of 3.7 kB can hold 30 million pixels, so a limit on bytes does not limit the work of decoding. One more connection
posts a picture of 28 x 28 pixels, which the event loop decodes, and then one of 200 x 200, which a thread decodes. It
sends one request after the other: first alone, then while the others post the large picture. The table shows the
latencies, and how many large pictures were answered.
"""

import argparse
import io
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import requests
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.cli.client import Client

SMALL_PICTURE = Path("samples/seven.png")
MODEL = "welcome"
WARM_UP_REQUESTS = 200
LARGE_SIZE = (6000, 5000)


@dataclass
class LargePictures:
    """Posts a large picture over several connections, from the beginning of a `with` block to its end.

    Attributes:
        url: where the picture is posted.
        connections: how many connections post at the same time.
        statuses: how many answers had each status.
    """

    url: str
    connections: int
    statuses: Counter[int] = field(default_factory=Counter)

    def __enter__(self) -> "LargePictures":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(self.connections)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                answer = session.post(self.url, large_picture(), headers={"Content-Type": "image/png"}, timeout=120)
                self.statuses[answer.status_code] += 1


def large_picture() -> bytes:
    """Return a PNG file of a few kB that holds 30 million pixels."""
    file = io.BytesIO()
    Image.new("1", LARGE_SIZE).save(file, "PNG")
    return file.getvalue()


def enlarge(picture: Path, side: int) -> bytes:
    """Return a picture as a PNG file of side x side pixels."""
    file = io.BytesIO()
    Image.open(picture).resize((side, side)).save(file, "PNG")
    return file.getvalue()


def measure_latencies(url: str, picture: bytes, seconds: float) -> np.ndarray:
    """Post a picture for some seconds, and return the latencies in ms, float64 [N]."""
    latencies_ms = []
    end = time.perf_counter() + seconds
    with requests.Session() as session:
        while time.perf_counter() < end:
            started = time.perf_counter()
            answer = session.post(url, picture, headers={"Content-Type": "image/png"}, timeout=120)
            answer.raise_for_status()
            latencies_ms.append((time.perf_counter() - started) * 1000)
    return np.array(latencies_ms)


def wait_for_model(client: Client) -> None:
    """Wait until the model that every volume starts with can be used."""
    while MODEL not in [model["name"] for model in client.get("/v1/models")["models"]]:
        time.sleep(0.2)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--connections", type=int, default=4, help="that post the large picture")
    arguments = parser.parse_args()
    table = Table(title=f"predictions; the large picture has {len(large_picture()) / 1000:.1f} kB")
    for column in ("picture", "", "requests", "p50 ms", "p99 ms", "largest ms", "large pictures answered, by status"):
        table.add_column(column, justify="right" if column else "left")
    rows = []
    with tempfile.TemporaryDirectory() as state, running_stack(Path(state)) as (client, _):
        wait_for_model(client)
        url = f"{client.url}/v1/predictions?model={MODEL}"
        for _ in range(WARM_UP_REQUESTS):
            client.predict(MODEL, SMALL_PICTURE)
        for label, picture in (("28 x 28", SMALL_PICTURE.read_bytes()), ("200 x 200", enlarge(SMALL_PICTURE, 200))):
            rows.append((label, "alone", measure_latencies(url, picture, arguments.seconds), Counter[int]()))
            with LargePictures(url, arguments.connections) as others:
                latencies_ms = measure_latencies(url, picture, arguments.seconds)
            rows.append((label, f"beside {arguments.connections} connections", latencies_ms, others.statuses))
    for label, beside, latencies_ms, statuses in rows:
        p50, p99 = np.quantile(latencies_ms, [0.5, 0.99])
        answered = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        figures = (f"{len(latencies_ms):,}", f"{p50:.1f}", f"{p99:.1f}", f"{latencies_ms.max():.1f}", answered)
        table.add_row(label, beside, *figures)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
