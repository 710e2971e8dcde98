"""Measure what exports cost and keep: every format of 23 models, on the whole test split of MNIST.

    .venv/test/bin/python -m benchmarks.exports [drawn networks]

Both backends train `article`, `lenet5`, `cnn` and 20 networks of random layers. Each model is exported to every format
of its backend, and each file is run by its own runtime. PyTorch's models are also transplanted to TensorFlow: the ONNX
files of both backends must then have equal bytes. Everything uses the public API.
"""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, islice
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


def draw_trainings(wanted: int) -> dict[str, dict[str, Any]]:
    """Return trainings of networks with random layers, by their names."""
    networks = (random_network(Random(seed), SHAPE, CLASSES) for seed in count())
    small = islice((network for network in networks if network.parameter_count < MAX_PARAMETERS), wanted)
    request = {"epochs": 1, "batch_size": 256, "optimizer": {"name": "adam", "learning_rate": 0.003}}
    return {f"drawn-{place:02}": {**request, "network": each.model_dump()} for place, each in enumerate(small)}


def export(client: Client, name: str, backend: str, version: int, format_name: str) -> dict[str, Any]:
    """Export a model and return the job, also if the file was rejected."""
    path = f"/v1/models/{name}/{backend}/{version}/exports"
    job: dict[str, Any] = client.post(path, {"format": format_name})
    *_, ended = client.watch(f"/v1/exports/{job['id']}")
    return ended


def measure_backend(client: Client, name: str, backend: str) -> list[dict[str, Any]]:
    """Return the exports of a model to every format of its backend but `html`."""
    listed = client.get(f"/v1/models/{name}/{backend}/1/exports")["formats"]
    names = [each["format"] for each in listed if each["format"] != "html"]
    return [export(client, name, backend, 1, format_name) for format_name in names]


def measure(client: Client, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Train a model in both backends, export it, and compare the ONNX files of equal weights."""
    job = client.post("/v1/trainings", {"dataset": "mnist", "name": name, **request})
    client.follow(f"/v1/trainings/{job['id']}")
    with ThreadPoolExecutor(2) as pool:
        exports = list(pool.map(partial(measure_backend, client, name), ("tensorflow", "pytorch")))
    moved = client.post(f"/v1/models/{name}/pytorch/1/transplant", {"to": "tensorflow"})
    model = client.follow(f"/v1/transplants/{moved['id']}")["model"]
    again = export(client, name, "tensorflow", model["version"], "onnx")
    (onnx,) = [each for each in exports[1] if each["format"] == "onnx"]
    is_equal = bool(onnx["file"] and again["file"] and onnx["file"]["sha256"] == again["file"]["sha256"])
    return {"exports": [each for part in exports for each in part], "is_onnx_equal": is_equal}


def print_tables(console: Console, results: dict[str, Any]) -> None:
    """Print a row for each file, and how many ONNX files were equal."""
    table = Table(title="Exports of models trained on MNIST: 10,000 test pictures")
    for column in (
        "model",
        "backend",
        "format",
        "same class",
        "probabilities",
        "accuracy",
        "export",
        "bytes",
        "smaller",
    ):
        table.add_column(column)
    for name, result in results.items():
        for each in result["exports"]:
            found, file = each["verification"], each["file"]
            row = [name, each["backend"], each["format"]]
            if found is None:
                table.add_row(*row, str(each["error"])[:60])
                continue
            difference = found["max_probability_difference"]
            table.add_row(
                *row,
                f"{found['same_class']:,}",
                "not finite" if difference is None else f"{difference:.1e}",
                *(f"{found['accuracy'][which]:.4f}" for which in ("model", "export")),
                f"{file['size']:,}" if file else "rejected",
                f"{found['size_ratio']:.2f}",
            )
    console.print(table)
    equal = sum(result["is_onnx_equal"] for result in results.values())
    console.print(f"ONNX files with equal bytes from both backends: {equal} of {len(results)}")


def main(drawn: str = str(DRAWN)) -> int:
    """Measure, print the tables and write `.tandem/bench/exports.json`."""
    console, results = Console(), {}
    place = Path(".tandem/bench")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        for name, request in {**TRAININGS, **draw_trainings(int(drawn))}.items():
            results[name] = measure(client, name, request)
            (place / "exports.json").write_text(json.dumps(results, indent=1))
    print_tables(console, results)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
