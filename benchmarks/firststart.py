"""Measure the time from `docker compose up --wait` on empty volumes to a correct prediction of every backend.

    .venv/test/bin/python -m benchmarks.firststart [--rounds 3]

The Docker images are built before the measurement. The Compose project has its own name, port and volumes, which are
removed afterwards. No dataset is present: the starter model predicts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.cli.client import Client
from services.stack.stack import free_ports

PROJECT = "tandem-first-start"
PICTURE, LABEL = Path("samples/seven.png"), 7


def compose(environ: dict[str, str], *arguments: str) -> None:
    """Run `docker compose` for this benchmark's project. If it fails, print its errors and exit."""
    command = ["docker", "compose", "-p", PROJECT, *arguments]
    result = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    if result.returncode:
        raise SystemExit(result.stderr)


def measure_start(environ: dict[str, str]) -> tuple[float, float]:
    """Return the seconds until `up --wait` returned, and until the prediction was correct."""
    begun = time.perf_counter()
    compose(environ, "up", "-d", "--wait")
    up = time.perf_counter() - begun
    client = Client(f"http://127.0.0.1:{environ['TANDEM_GATEWAY_PORT']}")
    (image,) = client.predict("welcome", PICTURE)["images"]
    labels = {backend: result["label"] for backend, result in image["results"].items()}
    if set(labels.values()) != {LABEL} or len(labels) < 2:
        raise SystemExit(f"the prediction is wrong: {labels}")
    return up, time.perf_counter() - begun


def main() -> int:
    """Measure several starts and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    measured = []
    with tempfile.TemporaryDirectory() as no_datasets:
        Path(no_datasets).chmod(0o755)  # the containers are not root
        environ = {**os.environ, "TANDEM_GATEWAY_PORT": str(free_ports(1)[0]), "TANDEM_DATA_DIR": no_datasets}
        compose(environ, "build")
        for _ in range(rounds):
            try:
                measured.append(measure_start(environ))
            finally:
                compose(environ, "down", "-v", "--timeout", "5")
    table = Table("", "median s", "range", title="First start on empty volumes")
    for title, times in zip(("up --wait returned", "correct prediction"), zip(*measured, strict=True), strict=True):
        table.add_row(title, f"{statistics.median(times):.1f}", f"{min(times):.1f} to {max(times):.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
