"""From `docker compose up --wait` on empty volumes to a right answer from every backend, offline.

    python -m benchmarks.firststart [--rounds 3]

The images are built before; the project has a name, a port and volumes of its own, which are removed. Nothing is
downloaded: no data set is there, and only the model `welcome` answers.
"""

import argparse
import json
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


def compose(environ: dict[str, str], *arguments: str) -> str:
    command = ["docker", "compose", "-p", PROJECT, *arguments]
    answer = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    if answer.returncode:
        raise SystemExit(
            answer.stderr
            + subprocess.run([*command[:4], "logs"], env=environ, text=True, capture_output=True, check=False).stdout
        )
    return answer.stdout


def started(environ: dict[str, str], begun: float) -> tuple[float, float]:
    """Seconds until `up --wait` returned, and until the answer was right."""
    compose(environ, "up", "-d", "--wait")
    up = time.time() - begun
    client = Client(f"http://127.0.0.1:{environ['TANDEM_GATEWAY_PORT']}")
    (image,) = client.predict("welcome", PICTURE)["images"]
    labels = {backend: result["label"] for backend, result in image["results"].items()}
    if set(labels.values()) != {LABEL} or len(labels) < 2:
        raise SystemExit(f"the answer is not right: {labels}")
    return up, time.time() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", action="store_true", help="build the images before")
    parser.add_argument("--logs", action="store_true", help="print each container's start and log, with times")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as nothing:
        Path(nothing).chmod(0o755)  # the containers are not root
        environ = {**os.environ, "TANDEM_GATEWAY_PORT": str(free_ports(1)[0]), "TANDEM_DATA_DIR": nothing}
        if options.build:
            compose(environ, "build")
        for _ in range(options.rounds):
            begun = time.time()
            try:
                found.append(started(environ, begun))
                if options.logs:
                    print(f"begun {time.strftime('%T', time.gmtime(begun))}.{begun % 1 * 1000:03.0f}")
                    for line in compose(environ, "ps", "-a", "--format", "json").splitlines():
                        identity = json.loads(line)["ID"]
                        state = subprocess.run(
                            ["docker", "inspect", "-f", "{{.Name}} {{.State.StartedAt}}", identity],
                            text=True,
                            capture_output=True,
                            check=True,
                        ).stdout.strip()
                        print(state)
                    print(compose(environ, "logs", "-t", "--no-color"))
            finally:
                compose(environ, "down", "-v", "--timeout", "5")
    table = Table("", "median s", "range", title="First start on empty volumes")
    for title, times in zip(("up --wait returned", "right answer"), zip(*found, strict=True), strict=True):
        table.add_row(title, f"{statistics.median(times):.1f}", f"{min(times):.1f} to {max(times):.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
