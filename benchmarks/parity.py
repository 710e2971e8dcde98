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
        work = client.post(f"/v1/models/{name}/{source}/1/transplant", {"to": to})
        proofs[f"{source} to {to}"] = client.follow(f"/v1/transplants/{work['id']}")["proof"]
    return proofs


def kill_and_resume(client: Client, redis: Redis, registry: ModelRegistry, undisturbed: Any) -> dict[str, Any]:
    """Train again, kill each backend's worker process in the second epoch, and compare the resulting weights."""
    again = client.post("/v1/trainings", {**TRAININGS["lenet5"], "name": undisturbed["name"]})
    path, waiting = f"/v1/trainings/{again['id']}", set(again["runs"])
    while waiting:
        runs = client.get(path)["runs"]
        for backend in [backend for backend in waiting if runs[backend]["epoch"] == 1]:
            time.sleep(0.5)  # the second epoch has started
            (worker,) = Worker.all(queue=Queue(backend, connection=redis, serializer="json"))
            (horse,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
            os.kill(int(horse), signal.SIGKILL)
            waiting.remove(backend)
        time.sleep(0.05)
    again = client.follow(path)
    found = {}
    for backend, run in again["runs"].items():
        one, other = (registry.verify(work["name"], backend, work["version"]).weights for work in (undisturbed, again))
        apart = max(float(np.abs(one[name] - other[name]).max()) for name in one)
        found[backend] = {"resumed_after": run["resumed_after"], "max_weight_difference": apart}
    return found


def main() -> int:
    """Measure, print one table and write `.tandem/bench/parity.json`."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, settings):
        works = {}
        for name, request in TRAININGS.items():
            started_at = time.perf_counter()
            works[name] = train(client, request)
            results[name] = summarize(works[name], time.perf_counter() - started_at)
        results["transplants of cnn"] = transplant(client, works["cnn"]["name"])
        with Redis.from_url(settings.redis_url) as redis:
            results["lenet5, killed and resumed"] = kill_and_resume(
                client, redis, ModelRegistry(settings.model_dir), works["lenet5"]
            )
    table = Table(title="Whole trainings on MNIST with the same data, weights and batches")
    for column in ("network", "test accuracy", "same class", "weights differ by", "probabilities", "McNemar's p"):
        table.add_column(column)
    for name in TRAININGS:
        r = results[name]
        accuracies = ", ".join(f"{value:.4f}" for value in r["test_accuracy"].values())
        differences = (f"{r[f'max_{what}_difference']:.1e}" for what in ("weight", "probability"))
        table.add_row(name, accuracies, f"{r['same_class']:,} of 10,000", *differences, f"{r['mcnemar_p']:.2f}")
    console = Console()
    console.print(table)
    console.print({name: result for name, result in results.items() if name not in TRAININGS})
    place = Path(".tandem/bench")
    place.mkdir(parents=True, exist_ok=True)
    (place / "parity.json").write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
