"""Measure a backend on a GPU: epochs, a resumed training, and predictions. `benchmarks/gpu.sh` calls each part.

    python -m benchmarks.gpu check   <backend>                   does the framework see a GPU?
    python -m benchmarks.gpu all     <backend> <device> <folder>
    python -m benchmarks.gpu serving <backend> <device> <folder>
    python -m benchmarks.gpu table   <folder>                    print the table and write gpu.json

It runs in the backend's own environment, and so it uses only packages that every backend has.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared.backend import Backend
from shared.data import datasets
from shared.data.batches import generate_epochs
from shared.data.datasets import Split
from shared.errors import MissingDatasetError, UnavailableError
from shared.network.description import PRESETS
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import initial_weights
from shared.settings import Settings

SHAPE, CLASSES, BATCH_SIZE = (28, 28, 1), 10, 64
EPOCHS = {"article": 6, "lenet5": 4, "cnn": 4}  # the first one is not counted
# Seconds per epoch, and how many times faster than the eager step in the same run: the goals on an H100 or H200.
GOALS = {"article": (0.12, 8), "lenet5": (0.45, 5), "cnn": (0.5, 5)}
CALLS = {1: 300, 64: 200}  # pictures in a request, and how many requests are measured
RESUMED = {
    "nesterov": Sgd(learning_rate=0.02, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "adam": Adam(weight_decay=0.01),
}
Train = Callable[..., Iterator[tuple[float, float]]]


def load_mnist(backend: Backend) -> tuple[str, Split, Split]:
    """Return the name of the data, the training split and the test split. Without MNIST they are random."""
    with tempfile.TemporaryDirectory() as state:
        settings = Settings.from_env({**os.environ, "TANDEM_STATE_DIR": state, "TANDEM_CACHE_DIR": ""})
        try:
            found = datasets.find("mnist", settings)
            datasets.ensure_cached(found, settings)
            train, test = (backend.load_data(found, settings.cache_dir, split) for split in ("train", "test"))
            return "mnist", train, test
        except MissingDatasetError:
            return "random pictures", random_split(60_000), random_split(10_000)


def random_split(count: int) -> Split:
    """Return random pictures of MNIST's shape, with random labels."""
    generator = np.random.default_rng(count)
    return Split(generator.integers(0, 256, (count, *SHAPE), np.uint8), generator.integers(0, CLASSES, count))


def train_eagerly(backend: Any) -> Train:
    """Return PyTorch's `train` without the recorded step."""

    def train(*arguments: Any) -> Iterator[tuple[float, float]]:
        # `train` asks for the recorded step when its first epoch begins.
        captured_step = backend.captured_step
        record, captured_step.record = captured_step.record, lambda *_: None
        epochs = backend.train(*arguments)
        first = next(epochs)
        captured_step.record = record
        yield first
        yield from epochs

    return train


def ways_of(backend: Any) -> dict[str, Train]:
    """Return the ways to train. TensorFlow's epoch is one graph, so it has one way only."""
    ways: dict[str, Train] = {"recorded": backend.train}
    return ways | {"eager": train_eagerly(backend)} if hasattr(backend, "captured_step") else ways


def measure_epochs(backend: Backend, network_name: str, train: Split, test: Split) -> dict[str, Any]:
    """Train in every way in turns, epoch by epoch; return the seconds of each epoch, and accuracies."""
    network = PRESETS[network_name].network(SHAPE, CLASSES)
    running, models = {}, {}
    for way, start in ways_of(backend).items():
        model = backend.define_network(network, initial_weights(network, 0))
        models[way] = model
        arguments = (model, backend.define_optimizer(Sgd(), model), backend.define_loss(), train, BATCH_SIZE)
        running[way] = start(*arguments, generate_epochs(train, 0, 1, EPOCHS[network_name], True))
    found: dict[str, Any] = {way: {"seconds": []} for way in running}
    for _ in range(EPOCHS[network_name]):
        for way, epochs in running.items():
            begun = time.perf_counter()
            next(epochs)
            accuracy = backend.evaluate(models[way], backend.define_loss(), test).accuracy
            found[way]["seconds"].append(time.perf_counter() - begun)
            found[way]["accuracy"] = accuracy
    for figures in found.values():
        figures["median_s"] = statistics.median(figures["seconds"][1:])
    return found


def resume(backend: Backend, optimizer: Optimizer, train: Split) -> bool:
    """Return whether a training that resumes after two of four epochs ends with the same bits."""
    network = PRESETS["cnn"].network(SHAPE, CLASSES)

    def run(start: tuple[Any, Any] | None, first: int, last: int) -> tuple[Any, Any]:
        weights, state = start or (initial_weights(network, 0), None)
        model = backend.define_network(network, weights)
        ours = backend.define_optimizer(optimizer, model, state)
        epochs = generate_epochs(train, 0, first, last, True, None, lambda number: 0.01 / number)
        list(backend.train(model, ours, backend.define_loss(), train, BATCH_SIZE, epochs))
        return backend.save(model), backend.save_optimizer(ours)

    through, resumed = run(None, 1, 4), run(run(None, 1, 2), 3, 4)
    return all(
        one[name].tobytes() == array.tobytes()
        for one, other in zip(through, resumed, strict=True)
        for name, array in other.items()
    )


def measure_serving(backend: Backend) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of a prediction, by network and by the number of pictures."""
    found: dict[str, dict[str, float]] = {}
    for name, preset in PRESETS.items():
        network = preset.network(SHAPE, CLASSES)
        predict = backend.serve(backend.define_network(network, initial_weights(network, 0)))
        found[name] = {}
        for pictures, calls in CALLS.items():
            images, seconds = random_split(pictures).images, []
            for call in range(calls + 20):
                begun = time.perf_counter()
                predict(images)
                if call >= 20:
                    seconds.append(time.perf_counter() - begun)
            found[name][str(pictures)] = 1000 * statistics.median(seconds)
    return found


def measure(part: str, name: str, device: str, folder: Path) -> int:
    """Measure one backend on one device, and write `<backend>-<device>.json`."""
    backend: Backend = importlib.import_module(f"services.{name}.backend")
    found: dict[str, Any] = {"backend": name, "versions": backend.versions(), "tf32": False}
    found["device"] = backend.configure(1, device, 0)
    found["serving_ms"] = measure_serving(backend)
    if part == "all":
        found["data"], train, test = load_mnist(backend)
        small = Split(train.images[:6_010], train.labels[:6_010])
        found["resumed_equals_undisturbed"] = {key: resume(backend, each, small) for key, each in RESUMED.items()}
        found["epochs"] = {network: measure_epochs(backend, network, train, test) for network in EPOCHS}
    (folder / f"{name}-{device}.json").write_text(json.dumps(found, indent=1))
    return 0


def check(name: str) -> int:
    """Say whether the framework sees a GPU; return 0 if it does."""
    try:
        backend: Backend = importlib.import_module(f"services.{name}.backend")
        backend.configure(1, "cuda", 0)
    except ImportError as error:
        print(f"a package is missing: {error}")
        return 1
    except UnavailableError:
        hint = "its wheel is tensorflow[and-cuda]" if name == "tensorflow" else "its wheel must have CUDA"
        print(f"the framework sees no GPU ({hint}): {backend.versions()}")
        return 1
    return 0


def read_suite(report: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, from pytest's report; nothing without a report."""
    if not report.exists():
        return {}
    suites = list(ET.parse(report).iter("testsuite"))  # noqa: S314 - pytest wrote it
    counts = {
        key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    }
    failed = counts["failures"] + counts["errors"]
    return {"passed": counts["tests"] - failed - counts["skipped"], "failed": failed, "skipped": counts["skipped"]}


def name_gpu() -> str:
    """Return the GPU's name and the driver's version as nvidia-smi states them."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe_backend(name: str, folder: Path) -> tuple[dict[str, Any], list[str], bool]:
    """Return a backend's results, the lines of its part of the table, and whether all is as it should be."""
    results = {
        device: json.loads(file.read_text())
        for device in ("cuda", "cpu")
        if (file := folder / f"{name}-{device}.json").exists()
    }
    suite, gpu = read_suite(folder / f"{name}-suite.xml"), results.get("cuda", {})
    resumed = gpu.get("resumed_equals_undisturbed", {})
    lines = [f"{name} {gpu.get('versions', '')}: suite on cuda: {suite or 'no report'}"]
    lines += [f"  resumed equals undisturbed: {resumed or 'not measured'}; data: {gpu.get('data', 'none')}"]
    lines += [
        f"  {'epoch':10} {'eager, s':>10} {'recorded, s':>12} {'goal, s':>8} {'times':>7} {'goal':>5}  accuracies"
    ]
    for network, ways in gpu.get("epochs", {}).items():
        recorded, eager = ways["recorded"]["median_s"], ways.get("eager", {}).get("median_s")
        times = f"{eager / recorded:.1f}" if eager else "-"
        accuracies = ", ".join(f"{way} {figures['accuracy']:.4f}" for way, figures in ways.items())
        goal_s, goal_times = GOALS[network]
        cells = f"{f'{eager:.3f}' if eager else '-':>10} {recorded:12.3f} {goal_s:8.2f} {times:>7} {goal_times:5}"
        lines += [f"  {network:10} {cells}  {accuracies}"]
    lines += [f"  {'prediction':10} {'pictures':>10} {'cpu, ms':>12} {'cuda, ms':>8}   faster"]
    for network, by_pictures in gpu.get("serving_ms", {}).items():
        for pictures, cuda_ms in by_pictures.items():
            cpu_ms = results.get("cpu", {}).get("serving_ms", {}).get(network, {}).get(pictures)
            faster = "-" if cpu_ms is None else "cuda" if cuda_ms < cpu_ms else "cpu"
            cpu = "-" if cpu_ms is None else f"{cpu_ms:.3f}"
            lines += [f"  {network:10} {pictures:>10} {cpu:>12} {cuda_ms:8.3f}   {faster}"]
    is_good = bool(suite) and not suite["failed"] and bool(resumed) and all(resumed.values())
    return {"suite": suite, **results}, lines, is_good


def print_table(folder: Path) -> int:
    """Print one table of everything in the folder, and write `gpu.json`. Return 1 if something is wrong."""
    found: dict[str, Any] = {"gpu": name_gpu(), "cores": os.cpu_count(), "backends": {}}
    print(f"\nGPU: {found['gpu']}")
    is_good = True
    for name in ("pytorch", "tensorflow"):
        if not list(folder.glob(f"{name}-*.json")):
            print(f"{name}: not measured")
            continue
        found["backends"][name], lines, is_backend_good = describe_backend(name, folder)
        print(*lines, sep="\n")
        is_good = is_good and is_backend_good
    (folder / "gpu.json").write_text(json.dumps(found, indent=1))
    print(f"Written: {folder / 'gpu.json'}")
    return 0 if is_good else 1


def main(part: str, *arguments: str) -> int:
    """Perform one part; see the module's documentation."""
    if part == "check":
        return check(*arguments)
    if part == "table":
        return print_table(Path(*arguments))
    name, device, folder = arguments
    return measure(part, name, device, Path(folder))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
