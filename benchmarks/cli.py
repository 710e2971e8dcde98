"""Measure how long commands of `tandem` take, from their start to their end, imports included.

    .venv/test/bin/python -m benchmarks.cli [runs]

The stack is warm: every backend has loaded the model `welcome`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.stack.stack import python_of

COMMANDS = (("--help",), ("train", "--help"), ("status",), ("predict", "samples/seven.png"))
WARM_UP_RUNS = 5


def time_command(arguments: tuple[str, ...], url: str, runs: int) -> list[float]:
    """Return the wall times of a command in ms."""
    command = [*python_of("cli"), "-m", "services.cli", *arguments]
    times = []
    for run in range(WARM_UP_RUNS + runs):
        started_at = time.perf_counter()
        subprocess.run(command, env={**os.environ, "TANDEM_URL": url}, capture_output=True, check=True)
        if run >= WARM_UP_RUNS:
            times.append((time.perf_counter() - started_at) * 1000)
    return times


def main(runs: int) -> int:
    """Measure, print one table and write `.tandem/bench/cli.json`.

    Args:
        runs: how often each command runs.
    """
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        found = {" ".join(arguments): time_command(arguments, client.url, runs) for arguments in COMMANDS}
    table = Table(title=f"tandem, milliseconds, {runs} runs")
    for column in ("command", "median", "least", "most"):
        table.add_column(column, justify="left" if column == "command" else "right")
    for name, times in found.items():
        table.add_row(name, *(f"{value:.0f}" for value in (median(times), min(times), max(times))))
    Console().print(table)
    results = Path(".tandem/bench")
    results.mkdir(parents=True, exist_ok=True)
    (results / "cli.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
