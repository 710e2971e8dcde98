"""Measure how far rounding errors separate the two frameworks in whole trainings on MNIST.

    .venv/test/bin/python -m benchmarks.parity

Both backends train `article`, `lenet5` (also with a tenth of the learning rate, and in double precision) and `cnn`.
Then `cnn` is transplanted from each backend to the other. Finally `lenet5` is trained again, its worker processes are
killed, and the resumed runs are compared with the undisturbed ones. Everything uses the public API.
"""

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis
from rich.console import Console
from rich.table import Table
from rq import Queue, Worker

from benchmarks.stack import running_stack
from services.cli.client import Client
from shared.jobs.connection import connect
from shared.models.open_registry import open_registry
from shared.models.registry import ModelRegistry

MOMENTUM = {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9}
TRAININGS: dict[str, dict[str, Any]] = {
    "article": {"network": "article", "epochs": 10},
    "lenet5": {"network": "lenet5", "epochs": 2, "optimizer": MOMENTUM},
    "lenet5, slowly": {"network": "lenet5", "epochs": 2, "optimizer": {**MOMENTUM, "learning_rate": 0.001}},
    "lenet5, double": {"network": "lenet5", "epochs": 2, "optimizer": MOMENTUM, "precision": "float64"},
    "cnn": {
        "network": "cnn",
        "epochs": 12,
        "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
        "augmentation": {"shift": 0.04, "rotate": 5, "zoom": 0.05},
    },
}


def train(client: Client, request: dict[str, Any]) -> Any:
    """Submit a training and return it when it has succeeded."""
    return client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")


def summarize(training: Any, seconds: float) -> dict[str, Any]:
    """Return the figures of a training's comparison; `same_class` counts test images of 10,000."""
    (pair,) = training["comparisons"]
    return {
        "test_accuracy": {b: run["history"][-1]["test_accuracy"] for b, run in training["runs"].items()},
        "seconds": seconds,
        "same_class": round(pair["agreement"] * 10_000),
        "max_weight_difference": pair["max_weight_difference"],
        "max_probability_difference": pair["max_probability_difference"],
        "mcnemar_p": pair["mcnemar"]["p_value"],
        "notes": pair["notes"],
    }


def transplant(client: Client, name: str) -> dict[str, Any]:
    """Transplant a model from each backend to the other and return the proofs."""
    proofs = {}
    for source, to in (("tensorflow", "pytorch"), ("pytorch", "tensorflow")):
        job = client.post(f"/v1/models/{name}/{source}/1/transplant", {"to": to})
        proofs[f"{source} to {to}"] = client.follow(f"/v1/transplants/{job['id']}")["proof"]
    return proofs


def kill_and_resume(client: Client, redis: Redis, registry: ModelRegistry, undisturbed: Any) -> dict[str, Any]:
    """Train `lenet5` again, kill each backend's job process in the second epoch, and compare the resulting weights.

    Args:
        client: of the gateway.
        redis: the stack's Redis.
        registry: the stack's models.
        undisturbed: the first training of `lenet5`, as JSON.

    Returns:
        For each backend, after which epoch the training resumed, and the largest difference between two weights.
    """
    again = client.post("/v1/trainings", {**TRAININGS["lenet5"], "name": undisturbed["name"]})
    path, waiting = f"/v1/trainings/{again['id']}", set(again["runs"])
    while waiting:
        runs = client.get(path)["runs"]
        for backend in [backend for backend in waiting if runs[backend]["epoch"] == 1]:
            time.sleep(0.5)  # the second epoch has started
            (worker,) = Worker.all(queue=Queue(backend, connection=redis, serializer="json"))
            (job_process,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
            os.kill(int(job_process), signal.SIGKILL)
            waiting.remove(backend)
        time.sleep(0.05)
    again = client.follow(path)
    resumed = {}
    for backend, run in again["runs"].items():
        first, second = (
            registry.verify(training["name"], backend, training["version"]).weights for training in (undisturbed, again)
        )
        difference = max(float(np.abs(first[name] - second[name]).max()) for name in first)
        resumed[backend] = {"resumed_after": run["resumed_after"], "max_weight_difference": difference}
    return resumed


def main() -> int:
    """Measure, print one table and write `.tandem/bench/parity.json`."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, settings):
        trainings = {}
        for name, request in TRAININGS.items():
            started_at = time.perf_counter()
            trainings[name] = train(client, request)
            results[name] = summarize(trainings[name], time.perf_counter() - started_at)
        results["transplants of cnn"] = transplant(client, trainings["cnn"]["name"])
        with connect(settings, patient=True) as redis:
            results["lenet5, killed and resumed"] = kill_and_resume(
                client, redis, open_registry(settings), trainings["lenet5"]
            )
    table = Table(title="Whole trainings on MNIST with the same data, weights and batches")
    for column in ("network", "test accuracy", "same class", "weights differ by", "probabilities", "McNemar's p"):
        table.add_column(column)
    for name in TRAININGS:
        figures = results[name]
        accuracies = ", ".join(f"{value:.4f}" for value in figures["test_accuracy"].values())
        differences = (f"{figures[f'max_{what}_difference']:.1e}" for what in ("weight", "probability"))
        table.add_row(
            name, accuracies, f"{figures['same_class']:,} of 10,000", *differences, f"{figures['mcnemar_p']:.2f}"
        )
    console = Console()
    console.print(table)
    console.print({name: result for name, result in results.items() if name not in TRAININGS})
    place = Path(".tandem/bench")
    place.mkdir(parents=True, exist_ok=True)
    (place / "parity.json").write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
