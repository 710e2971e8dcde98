"""How long a client waits: from submitting a training on digits to the end of its first epoch.

    .venv/test/bin/python -m benchmarks.job_start [submissions]

Importing a framework takes seconds and is paid once, when a trainer starts;
what is left for each job is the queue, a fork, building the network, tracing
or lazy imports, and the epoch itself. Both trainers are idle before each
submission and work at the same time after it.
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


def first_epochs(client: Client) -> dict[str, float]:
    """Submit once; for each backend the seconds until its first epoch is reported."""
    begun = time.perf_counter()
    path = f"/v1/trainings/{client.post('/v1/trainings', REQUEST)['id']}"
    seconds: dict[str, float] = {}
    while True:
        work = client.get(path)
        for backend, run in work["runs"].items():
            if run["history"]:
                seconds.setdefault(backend, time.perf_counter() - begun)
        if work["status"] in FINAL:
            return seconds
        time.sleep(POLL_S)


def main(submissions: int) -> int:
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        first_epochs(client)  # warm-up: the predictors and the gateway have imported what they import late
        rounds = []
        for _ in range(submissions):
            time.sleep(0.5)  # both trainers are idle again
            rounds.append(first_epochs(client))
    table = Table(title=f"From submission to the first epoch's end, seconds, {submissions} submissions")
    for column in ("backend", "median", "least", "most"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for backend in rounds[0]:
        found = [seconds[backend] for seconds in rounds]
        table.add_row(backend, *(f"{value:.2f}" for value in (median(found), min(found), max(found))))
    Console().print(table)
    results = Path(".tandem/bench")
    results.mkdir(parents=True, exist_ok=True)
    (results / "job_start.json").write_text(json.dumps(rounds, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
