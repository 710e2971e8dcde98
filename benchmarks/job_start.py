"""Measure the time from submitting a training on digits to the end of its first epoch.

    .venv/test/bin/python -m benchmarks.job_start [submissions]

A trainer imports its framework once, when it starts. Each job then takes the time of the queue, a fork, building the
network, compilation or late imports, and the epoch itself. Both trainers are idle before each submission and work at
the same time after it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.cli.client import FINAL, Client

POLL_S = 0.005
REQUEST = {"dataset": "digits", "epochs": 1, "name": "job-start"}


def time_first_epochs(client: Client) -> dict[str, float]:
    """Submit a training, wait until it ends and return the seconds until each backend reported its first epoch."""
    started_at = time.perf_counter()
    path = f"/v1/trainings/{client.post('/v1/trainings', REQUEST)['id']}"
    seconds: dict[str, float] = {}
    while True:
        training = client.get(path)
        for backend, run in training["runs"].items():
            if run["history"]:
                seconds.setdefault(backend, time.perf_counter() - started_at)
        if training["status"] in FINAL:
            return seconds
        time.sleep(POLL_S)


def main(submissions: int) -> int:
    """Measure, print one table and write `.tandem/bench/job_start.json`.

    Args:
        submissions: how many trainings are submitted, one after the other.
    """
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        time_first_epochs(client)  # warm-up, for late imports in the gateway and the predictors
        rounds = []
        for _ in range(submissions):
            time.sleep(0.5)  # until both trainers are idle
            rounds.append(time_first_epochs(client))
    table = Table(title=f"From submission to the first epoch's end, seconds, {submissions} submissions")
    for column in ("backend", "median", "least", "most"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for backend in rounds[0]:
        values = [seconds[backend] for seconds in rounds]
        table.add_row(backend, *(f"{value:.2f}" for value in (median(values), min(values), max(values))))
    Console().print(table)
    results = Path(".tandem/bench")
    results.mkdir(parents=True, exist_ok=True)
    (results / "job_start.json").write_text(json.dumps(rounds, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
