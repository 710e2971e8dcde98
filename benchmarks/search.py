"""Compare Tandem's search with KerasTuner's Hyperband and Bayesian search on digits, for the same number of epochs.

    .venv/test/bin/python -m benchmarks.search [--seeds N] [--again]

Each seed has its own validation share, which all contestants get. All search the same space of multilayer perceptrons.
Tandem goes first, through the public API. KerasTuner then gets at least as many epochs as Tandem's trials spent. Each
winner is trained once more on the whole training split, for as many epochs as a whole trial, and then measured on the
test split. Nothing else reads the test split.

Every result is stored as soon as it is known, so an interrupted comparison continues.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.cli.client import Client
from services.stack import environments
from shared.data import datasets
from shared.data.validation import hold_out
from shared.settings import Settings

RESULTS = Path(".tandem/bench/search.json")
PEER = "peers/kerastuner"
SCRIPT = Path("benchmarks") / PEER / "search.py"
TANDEM = "tandem"
TUNERS = {"kerastuner hyperband": "hyperband", "kerastuner bayesian": "bayesian"}

DATASET = "digits"
SPACE = {
    "network": {
        "family": "mlp",
        "depth": {"range": [1, 3]},
        "width": {"choice": [32, 64, 128, 256]},
        "activation": {"choice": ["relu", "tanh"]},
        "dropout": {"range": [0.0, 0.5]},
    },
    "optimizer": {"choice": [{"name": "sgd", "momentum": 0.9}, {"name": "adam"}]},
    "optimizer.learning_rate": {"log_range": [0.001, 0.1]},
    "batch_size": {"choice": [16, 32, 64]},
}
EPOCHS = 9  # of a whole trial: a power of the factor 3 by which both Hyperbands reduce
TRIALS = 15
ITERATION_EPOCHS = 75  # what one iteration of KerasTuner's Hyperband spends with EPOCHS
VALIDATION = 0.2
# With a constant learning rate the last epoch decides by chance: winners are a point worse, with either search.
TRAINING = {"schedule": "cosine"}
SETTINGS = {"space": SPACE, "training": TRAINING, "epochs": EPOCHS, "trials": TRIALS, "validation": VALIDATION}


class Results:
    """The results so far, in a file.

    Args:
        is_new: whether to forget what the file holds. Results of other settings are always forgotten.

    Attributes:
        runs: the result of each contestant and seed.
    """

    def __init__(self, is_new: bool) -> None:
        stored = json.loads(RESULTS.read_text()) if RESULTS.is_file() and not is_new else {}
        self.runs: dict[str, dict[str, Any]] = stored["runs"] if stored.get("settings") == SETTINGS else {}

    def add(self, contestant: str, seed: int, result: dict[str, Any]) -> None:
        """Store a result and print it."""
        self.runs.setdefault(contestant, {})[str(seed)] = result
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps({"settings": SETTINGS, "runs": self.runs}, indent=1))
        accuracies = ", ".join(f"{backend} {value:.4f}" for backend, value in result["test_accuracy"].items())
        print(f"seed {seed}, {contestant}: {accuracies}, {result['epochs']} epochs", flush=True)

    def missing(self, contestant: str, seeds: int) -> list[int]:
        """Return the seeds without a result."""
        return [seed for seed in range(seeds) if str(seed) not in self.runs.get(contestant, {})]


def search_with_tandem(client: Client, seed: int) -> dict[str, Any]:
    """Search with a running stack.

    Raises:
        SystemExit: the search failed.
    """
    request = {
        "dataset": DATASET,
        "space": SPACE,
        "trials": TRIALS,
        "epochs": EPOCHS,
        "seed": seed,
        "training": TRAINING,
    }
    started_at = time.perf_counter()
    submitted = client.post("/v1/searches", {**request, "validation": VALIDATION, "name": f"search-{seed}"})
    search = client.follow(f"/v1/searches/{submitted['id']}")
    if search["status"] != "succeeded":
        raise SystemExit(f"the search with seed {seed} {search['status']}: {search['error']}")
    best = next(trial for trial in search["trials"] if trial["number"] == search["best"])
    return {
        "epochs": search["progress"]["epochs_spent"],
        "trials": len(search["trials"]),
        "total_s": time.perf_counter() - started_at,
        "parameters": best["parameters"],
        "validation_loss": best["value"],
        "test_accuracy": search["winner"]["test_accuracy"],
        "test_loss": search["winner"]["test_loss"],
        "agreement": search["agreement"],
    }


def search_with_kerastuner(tuner: str, seed: int, budget: int) -> dict[str, Any]:
    """Search in KerasTuner's environment.

    Args:
        tuner: "hyperband" or "bayesian".
        seed: of the search and of the validation share.
        budget: the search ends after the trial with which its trials have spent so many epochs.

    Raises:
        subprocess.CalledProcessError: KerasTuner failed. Its output has been printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, data, result = (Path(folder, name) for name in ("task.json", "data.npz", "result.json"))
        task.write_text(json.dumps({"space": SPACE, "epochs": EPOCHS, "tuner": tuner, "seed": seed, "budget": budget}))
        write_data(data, seed)
        threads = str(Settings.from_env().threads_per_backend)
        environ = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
        command = [f".venv/{PEER}/bin/python", str(SCRIPT), str(task), str(data), str(result)]
        subprocess.run(command, env={**os.environ, **environ}, check=True)
        return dict(json.loads(result.read_text()))


def write_data(file: Path, seed: int) -> None:
    """Write the pictures and labels of the splits, with the validation share that Tandem holds out for this seed."""
    settings = Settings.from_env()
    dataset = datasets.find(DATASET, settings)
    whole = datasets.read(dataset, "train", settings)
    held_out = hold_out(whole, VALIDATION, seed)
    parts = {
        "whole": whole,
        "train": held_out.train,
        "validation": held_out.validation,
        "test": datasets.read(dataset, "test", settings),
    }
    arrays = {f"{name}_images": part.images for name, part in parts.items()}
    np.savez(file, **arrays, **{f"{name}_labels": part.labels for name, part in parts.items()})


def make_environment() -> None:
    """Make KerasTuner's virtual environment, unless it is up to date.

    Raises:
        subprocess.CalledProcessError: pip failed. Its output has been printed.
    """
    environments.REQUIREMENTS[PEER] = f"benchmarks/{PEER}/requirements.txt"
    if not environments.is_made(PEER):
        environments.make(PEER, [])


def create_table(runs: dict[str, dict[str, Any]], seeds: int) -> Table:
    """Return the table of test accuracies by seed, their medians, and the medians of what the searches cost."""
    found = {contestant: [by_seed[str(seed)] for seed in range(seeds)] for contestant, by_seed in runs.items()}
    columns = [
        (contestant, backend) for contestant, results in found.items() for backend in results[0]["test_accuracy"]
    ]
    table = Table(title=f"{DATASET}: test accuracy of the winner")
    table.add_column("seed")
    for contestant, backend in columns:
        table.add_column(f"{contestant}\n{backend}", justify="right")
    accuracies = [[result["test_accuracy"][backend] for result in found[contestant]] for contestant, backend in columns]
    for seed in range(seeds):
        table.add_row(str(seed), *(f"{values[seed]:.4f}" for values in accuracies), end_section=seed == seeds - 1)
    table.add_row("median", *(f"{median(values):.4f}" for values in accuracies), end_section=True)
    for cost in ("epochs", "trials", "total_s"):
        medians = (median(result[cost] for result in found[contestant]) for contestant, _ in columns)
        table.add_row(cost, *(f"{value:.0f}" for value in medians))
    return table


def main() -> int:
    """Search, print one table and write `.tandem/bench/search.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0")
    parser.add_argument("--again", action="store_true", help="forget the results so far")
    arguments = parser.parse_args()
    results = Results(arguments.again)
    if missing := results.missing(TANDEM, arguments.seeds):
        with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
            for seed in missing:
                results.add(TANDEM, seed, search_with_tandem(client, seed))
    make_environment()
    for contestant, tuner in TUNERS.items():
        for seed in results.missing(contestant, arguments.seeds):
            budget = max(ITERATION_EPOCHS, results.runs[TANDEM][str(seed)]["epochs"])
            results.add(contestant, seed, search_with_kerastuner(tuner, seed, budget))
    Console().print(create_table(results.runs, arguments.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
