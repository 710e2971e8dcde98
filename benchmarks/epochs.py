"""Measure how long an epoch takes in Tandem and in three other programs for the same training.

    .venv/test/bin/python -m benchmarks.epochs [--rounds N] [--networks article,lenet5,cnn]

The ways are: `ours` (Tandem), `article` (as the article writes it), `usual` (as most people write it) and `tight`
(as fast as we could make it). All train the same network on MNIST with the same batch size, optimizer and
number of threads, and evaluate on the test split after every epoch. The evaluation counts as part of the epoch.

Each way is a process that waits until it is told to run an epoch. In every round each way runs one epoch, one after
the other; every second round has the reverse order. So a machine that becomes slower affects all ways alike. The first
epoch includes compilation and warm-up; it is shown, but it does not count.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from shared.data import datasets
from shared.errors import MissingDatasetError
from shared.settings import Settings

RESULTS_FOLDER = Path(".tandem/bench")
BACKENDS = ("tensorflow", "pytorch")
WAYS = ("article", "usual", "tight", "ours")
ROUNDS = {"article": 5, "lenet5": 2, "cnn": 1}
FLOOR = "ours / numpy floor"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Way:
    """A process that runs one epoch at a time.

    Attributes:
        backend: "tensorflow", "pytorch" or "numpy".
        name: One of WAYS, or "floor" for NumPy.
        network: The preset that is trained.
        epochs: The figures of each epoch: `seconds`, `test_accuracy`, `peak_memory_mb`.
    """

    backend: str
    name: str
    network: str
    epochs: list[dict[str, float]] = field(default_factory=list)

    def start(self, threads: int, log: Path, stack: ExitStack) -> dict[str, str]:
        """Start the process.

        Args:
            threads: How many threads the numerical libraries use.
            log: The file for the process's output.
            stack: The process ends when this exit stack closes.

        Returns:
            The versions of the packages that the process uses.
        """
        python = f".venv/{'test' if self.backend == 'numpy' else self.backend}/bin/python"
        self.process = stack.enter_context(
            subprocess.Popen(
                [python, "-m", "benchmarks.ways", self.backend, self.name, self.network],
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("w")),
                text=True,
                bufsize=1,
            )
        )
        return self._answer()

    def run(self) -> None:
        """Run one epoch and append its figures."""
        self.process.stdin.write("epoch\n")
        self.epochs.append(self._answer())

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"{self.backend} {self.name} on {self.network} ended: read its log in {RESULTS_FOLDER}/epochs"
            )
        return json.loads(line)

    @property
    def seconds(self) -> float:
        """Return the median duration of an epoch, without the first."""
        return median(epoch["seconds"] for epoch in self.epochs[1:])


def measure(network: str, rounds: int, threads: int, versions: dict[str, str]) -> list[Way]:
    """Run all ways of a network and return them. Adds the versions of their packages to `versions`."""
    ways = [Way(backend, name, network) for backend in BACKENDS for name in WAYS]
    ways += [Way("numpy", "floor", network)] if network == "article" else []
    logs = RESULTS_FOLDER / "epochs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for way in ways:
            versions |= way.start(threads, logs / f"{network}-{way.backend}-{way.name}.log", stack)
            way.run()
        for number in range(rounds):
            for way in reversed(ways) if number % 2 else ways:
                way.run()
    return ways


def compute_ratios(ways: list[Way]) -> dict[str, dict[str, float]]:
    """Return, for each backend, the ratios of the epochs' durations: `<way> / ours`, and `ours / numpy floor`."""
    seconds = {(way.backend, way.name): way.seconds for way in ways}
    floor = seconds.get(("numpy", "floor"))
    by_backend = {}
    for backend in BACKENDS:
        ours = seconds[backend, "ours"]
        by_backend[backend] = {f"{name} / ours": seconds[backend, name] / ours for name in WAYS if name != "ours"}
        by_backend[backend] |= {FLOOR: ours / floor} if floor else {}
    return by_backend


def create_table(network: str, rounds: int, ways: list[Way], by_backend: dict[str, dict[str, float]]) -> Table:
    """Return the table of one network.

    Args:
        network: The preset.
        rounds: How many epochs count.
        ways: The processes that were measured.
        by_backend: What `compute_ratios` returns.
    """
    floors = [f"{backend} {ratios[FLOOR]:.2f}" for backend, ratios in by_backend.items() if FLOOR in ratios]
    table = Table(
        title=f"{network}: an epoch of MNIST with its evaluation, {rounds} counted",
        caption=f"{FLOOR}: {', '.join(floors)}" if floors else None,
    )
    for column in ("backend", "way", "median, s", "first, s", "/ ours", "accuracy", "peak, MB"):
        table.add_column(column, justify="left" if column in ("backend", "way") else "right")
    for way in ways:
        ratio, last = by_backend.get(way.backend, {}).get(f"{way.name} / ours"), way.epochs[-1]
        cells = [f"{way.seconds:.2f}", f"{way.epochs[0]['seconds']:.2f}", f"{ratio:.2f}" if ratio else ""]
        cells += [f"{last['test_accuracy']:.4f}", f"{last['peak_memory_mb']:.0f}"]
        table.add_row(way.backend, way.name, *cells, end_section=way.name == "ours")
    return table


def describe_machine(threads: int) -> dict[str, Any]:
    """Return what the results depend on: processor, cores, threads, load and versions."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "load": os.getloadavg(),
        "versions": {"python": platform.python_version()},
    }


def main() -> int:
    """Measure, print one table per network and write `.tandem/bench/epochs.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--rounds", type=int, help="epochs that count, per network; the default is smaller for larger networks"
    )
    parser.add_argument("--networks", default=",".join(ROUNDS), help="a selection of " + ",".join(ROUNDS))
    arguments = parser.parse_args()
    networks = arguments.networks.split(",")
    if unknown := set(networks) - set(ROUNDS):
        parser.error(f"unknown network {', '.join(sorted(unknown))}: choose from {', '.join(ROUNDS)}")
    console, settings = Console(), Settings.from_env()
    try:
        datasets.ensure_cached(datasets.find("mnist", settings), settings)
    except MissingDatasetError as error:
        console.print(f"Skipped, because MNIST is missing: {error}")
        return 0
    threads = settings.threads_per_backend
    results: dict[str, Any] = {"machine": describe_machine(threads), "networks": {}}
    for network in networks:
        rounds = arguments.rounds or ROUNDS[network]
        ways = measure(network, rounds, threads, results["machine"]["versions"])
        by_backend = compute_ratios(ways)
        console.print(create_table(network, rounds, ways, by_backend))
        epochs = [{"backend": way.backend, "way": way.name, "epochs": way.epochs} for way in ways]
        results["networks"][network] = {"rounds": rounds, "ratios": by_backend, "ways": epochs}
        (RESULTS_FOLDER / "epochs.json").write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
