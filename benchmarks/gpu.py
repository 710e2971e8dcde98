"""Measure a backend on a GPU: epochs, a resumed training, and predictions. `benchmarks/gpu.sh` calls each part.

    python -m benchmarks.gpu check   <backend>                   does the framework see a GPU?
    python -m benchmarks.gpu all     <backend> <device> <folder>
    python -m benchmarks.gpu serving <backend> <device> <folder>

`all` and `serving` write `<backend>-<device>.json` after each figure: what was measured before an error or a time limit
is kept. `benchmarks/gpu_table.py` prints it. Both run in the backend's own environment, and so they use only packages
that every backend has.
"""

import importlib
import json
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
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
        try:
            first = next(epochs)
        finally:
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


def measure_serving(backend: Backend, network_name: str) -> dict[str, float]:
    """Return the median milliseconds of a prediction by the number of pictures."""
    network = PRESETS[network_name].network(SHAPE, CLASSES)
    predict = backend.serve(backend.define_network(network, initial_weights(network, 0)))
    found = {}
    for pictures, calls in CALLS.items():
        images, seconds = random_split(pictures).images, []
        for call in range(calls + 20):
            begun = time.perf_counter()
            predict(images)
            if call >= 20:
                seconds.append(time.perf_counter() - begun)
        found[str(pictures)] = 1000 * statistics.median(seconds)
    return found


class ResultFile:
    """A JSON file that is written again after each figure.

    Attributes:
        found: what the file contains: kind of figure -> name -> figure. `errors` has the reasons of those that failed.
    """

    def __init__(self, file: Path, **start: Any) -> None:
        self.found: dict[str, Any] = {**start, "errors": {}}
        self._file = file

    def measure(self, kind: str, name: str, function: Callable[[], Any]) -> None:
        """Store what the function returns. If it raises, store the error, and print it with its traceback."""
        try:
            self.found.setdefault(kind, {})[name] = function()
        except Exception as error:
            traceback.print_exc()
            self.found["errors"][f"{kind} {name}"] = f"{type(error).__name__}: {error}"
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(self.found, indent=1))
        draft.replace(self._file)  # so that the file is complete whenever this process is stopped


def measure(part: str, name: str, device: str, folder: Path) -> int:
    """Measure one backend on one device, and write `<backend>-<device>.json`. Return 1 if a figure failed."""
    backend: Backend = importlib.import_module(f"services.{name}.backend")
    used = backend.configure(1, device, 0)
    file = ResultFile(folder / f"{name}-{device}.json", versions=backend.versions(), device=used, tf32=False)
    for network in PRESETS:
        file.measure("serving_ms", network, partial(measure_serving, backend, network))
    if part == "all":
        file.found["data"], train, test = load_mnist(backend)
        small = Split(train.images[:6_010], train.labels[:6_010])
        for key, optimizer in RESUMED.items():
            file.measure("resumed_equals_undisturbed", key, partial(resume, backend, optimizer, small))
        for network in EPOCHS:
            file.measure("epochs", network, partial(measure_epochs, backend, network, train, test))
    return 1 if file.found["errors"] else 0


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


def main(part: str, name: str, device: str = "", folder: str = "") -> int:
    """Perform one part; see the module's documentation."""
    return check(name) if part == "check" else measure(part, name, device, Path(folder))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
