"""Compare the preset search `quick` with the preset network `mlp` and its default settings, on digits.

    .venv/test/bin/python -m benchmarks.quick_search [seeds]

For each seed: a search of 20 trials with the search's own defaults, and a training of `mlp` with a training's own
defaults, through the public API. Both are measured on the test split once.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.cli.client import Client

RESULT = Path(".tandem/bench/quick_search.json")
SEEDS = 5
TRIALS = 20


def measure(client: Client, seed: int) -> dict[str, Any]:
    """Return the test accuracies by backend of the search's winner and of `mlp`."""
    asked = {"dataset": "digits", "space": "quick", "trials": TRIALS, "seed": seed, "name": f"quick-{seed}"}
    search = client.follow(f"/v1/searches/{client.post('/v1/searches', asked)['id']}")
    asked = {"dataset": "digits", "network": "mlp", "seed": seed, "name": f"mlp-{seed}"}
    training = client.follow(f"/v1/trainings/{client.post('/v1/trainings', asked)['id']}")
    runs = training["runs"].items()
    return {
        "quick": search["winner"]["test_accuracy"],
        "mlp": {backend: run["history"][-1]["test_accuracy"] for backend, run in runs},
        "epochs": search["progress"]["epochs_spent"],
    }


def main(seeds: str = str(SEEDS)) -> int:
    """Measure, print the table and write the figures."""
    results = {}
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, settings):
        for seed in range(int(seeds)):
            results[seed] = measure(client, seed)
            print(f"seed {seed}: {results[seed]}", flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1))
    table = Table("seed", *(f"{name}, {backend}" for name in ("quick", "mlp") for backend in settings.backends))
    for seed, found in results.items():
        figures = [found[name][backend] for name in ("quick", "mlp") for backend in settings.backends]
        table.add_row(str(seed), *(f"{figure:.4f}" for figure in figures))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
