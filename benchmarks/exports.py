"""Measure what exports cost and keep: every format of 23 models, on the whole test split of MNIST.

    .venv/test/bin/python -m benchmarks.exports [drawn networks]

Both backends train `article`, `lenet5`, `cnn` and networks of random layers, until 20 of those have learned. Each model
is exported to every format of its backend, and each file is run by its own runtime. PyTorch's models are also
transplanted to TensorFlow: the ONNX files of both backends must then have equal bytes. Everything uses the public API.

A random network that has not learned gives some classes almost equal probabilities, so that rounding decides which is
the largest. Such networks are counted and not exported.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, count
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.cli.client import Client
from tests.backend.random_examples import random_network

MOMENTUM = {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9}
TRAININGS: dict[str, dict[str, Any]] = {
    "article": {"network": "article", "epochs": 2},
    "lenet5": {"network": "lenet5", "epochs": 2, "optimizer": MOMENTUM},
    "cnn": {"network": "cnn", "epochs": 2, "optimizer": MOMENTUM},
}
DRAWN = 20
SHAPE, CLASSES = (28, 28, 1), 10
MAX_PARAMETERS = 1_000_000
LEARNED = 0.5  # the least test accuracy of a random network that is exported


def draw_trainings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and the trainings of networks with random layers, without end."""
    networks = (random_network(Random(seed), SHAPE, CLASSES) for seed in count())
    small = (network for network in networks if network.parameter_count < MAX_PARAMETERS)
    request = {"epochs": 1, "batch_size": 256, "optimizer": {"name": "adam", "learning_rate": 0.003}}
    for place, network in enumerate(small):
        yield f"drawn-{place:02}", {**request, "network": network.model_dump()}


def export(client: Client, name: str, backend: str, version: int, format_name: str) -> dict[str, Any]:
    """Export a model and return the job, also if the file was rejected."""
    path = f"/v1/models/{name}/{backend}/{version}/exports"
    job: dict[str, Any] = client.post(path, {"format": format_name})
    *_, ended = client.watch(f"/v1/exports/{job['id']}")
    return ended


def measure_backend(client: Client, name: str, backend: str) -> list[dict[str, Any]]:
    """Return the exports of a model to every format of its backend."""
    listed = client.get(f"/v1/models/{name}/{backend}/1/exports")["formats"]
    return [export(client, name, backend, 1, each["format"]) for each in listed]


def measure(client: Client, name: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """Train a model in both backends, export it, and compare the ONNX files of equal weights.

    Returns:
        The exports; None if the model has not learned.
    """
    job = client.post("/v1/trainings", {"dataset": "mnist", "name": name, **request})
    runs = client.follow(f"/v1/trainings/{job['id']}")["runs"].values()
    if min(run["history"][-1]["test_accuracy"] for run in runs) < LEARNED:
        return None
    with ThreadPoolExecutor(2) as pool:
        exports = list(pool.map(partial(measure_backend, client, name), ("tensorflow", "pytorch")))
    moved = client.post(f"/v1/models/{name}/pytorch/1/transplant", {"to": "tensorflow"})
    model = client.follow(f"/v1/transplants/{moved['id']}")["model"]
    again = export(client, name, "tensorflow", model["version"], "onnx")
    (onnx,) = [each for each in exports[1] if each["format"] == "onnx"]
    is_equal = bool(onnx["file"] and again["file"] and onnx["file"]["sha256"] == again["file"]["sha256"])
    return {"exports": [each for part in exports for each in part], "is_onnx_equal": is_equal}


def print_tables(console: Console, results: dict[str, Any]) -> None:
    """Print a row for each file of a preset, the worst figures of all random networks, and the equal ONNX files."""
    table = Table(title="Exports of models trained on MNIST: 10,000 test pictures")
    for column in ("model", "backend", "format", "same class", "probabilities", "accuracy", "of the file", "smaller"):
        table.add_column(column, no_wrap=True)
    drawn: dict[tuple[str, str], list[Any]] = {}
    for name, result in results.items():
        for each in result["exports"]:
            if name in TRAININGS:
                table.add_row(name, each["backend"], each["format"], *describe(each["verification"]))
            else:
                drawn.setdefault((each["backend"], each["format"]), []).append(each)
    for (backend, format_name), exports in drawn.items():
        found = [each["verification"] for each in exports]
        accepted = sum(each["status"] == "succeeded" for each in exports)
        table.add_row(
            f"{len(exports)} drawn, {accepted} accepted",
            backend,
            format_name,
            f"at least {min(each['same_class'] for each in found):,}",
            f"{max(each['max_probability_difference'] for each in found):.1e}",
        )
    console.print(table)
    equal = sum(result["is_onnx_equal"] for result in results.values())
    console.print(f"ONNX files with equal bytes from both backends: {equal} of {len(results)}")


def describe(found: dict[str, Any]) -> list[str]:
    """Return the figures of a verification as columns of the table."""
    accuracies = [f"{found['accuracy'][which]:.4f}" for which in ("model", "export")]
    difference = f"{found['max_probability_difference']:.1e}"
    return [f"{found['same_class']:,}", difference, *accuracies, f"{found['size_ratio']:.2f}"]


def main(drawn: str = str(DRAWN)) -> int:
    """Measure, print the table and write `.tandem/bench/exports.json`.

    Args:
        drawn: how many random networks that have learned.
    """
    console, results, unlearned = Console(width=130), {}, 0
    place = Path(".tandem/bench")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        for name, request in chain(TRAININGS.items(), draw_trainings()):
            if len(results) == len(TRAININGS) + int(drawn):
                break
            result = measure(client, name, request)
            if result is None:
                unlearned += 1
                console.print(f"{name}: has not learned")
                continue
            results[name] = result
            rejected = [f"{each['backend']} {each['format']}" for each in result["exports"] if each["error"]]
            console.print(f"{name}: {len(result['exports'])} exports, rejected: {', '.join(rejected) or 'none'}")
            (place / "exports.json").write_text(json.dumps(results, indent=1))
    print_tables(console, results)
    console.print(f"Random networks that have not learned, and were not exported: {unlearned}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
