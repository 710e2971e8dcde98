"""How long an epoch takes: Tandem's, the article's way to write it, the usual way, and the tightest.

    .venv/test/bin/python -m benchmarks.epochs [--rounds N] [--networks article,lenet5,cnn]

Every way trains the same network on MNIST, with the same batch size, the same SGD and the same threads, and is
evaluated on the test split after every epoch: all of that counts. A way is a process of its own and runs when it is
asked. Round by round all are asked, one after the other and every second round backwards, so that a machine that
grows slower or faster does so for all. The first epoch, which also traces and warms up, is told but not counted.
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

PLACE = Path(".tandem/bench")
BACKENDS = ("tensorflow", "pytorch")
WAYS = ("article", "usual", "tight", "ours")
ROUNDS = {"article": 5, "lenet5": 2, "cnn": 1}
FLOOR = "ours / numpy floor"
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Way:
    """A process that runs an epoch when it is asked; its answers: what each epoch took."""

    backend: str
    name: str
    network: str
    epochs: list[dict[str, float]] = field(default_factory=list)

    def start(self, threads: int, log: Path, stack: ExitStack) -> dict[str, str]:
        """Start it, to end with the stack; the versions that it found."""
        python = f".venv/{'test' if self.backend == 'numpy' else self.backend}/bin/python"
        self.process = stack.enter_context(
            subprocess.Popen(
                [python, "-m", "benchmarks.ways", self.backend, self.name, self.network],
                env={**os.environ, **dict.fromkeys(POOLS, str(threads))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("w")),
                text=True,
                bufsize=1,
            )
        )
        return self._answer()

    def run(self) -> None:
        self.process.stdin.write("epoch\n")
        self.epochs.append(self._answer())

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.backend} {self.name} on {self.network} ended: see its log in {PLACE}/epochs")
        return json.loads(line)

    @property
    def seconds(self) -> float:
        return median(epoch["seconds"] for epoch in self.epochs[1:])


def measured(network: str, rounds: int, threads: int, versions: dict[str, str]) -> list[Way]:
    """Every way's epochs; adds the versions that they found."""
    ways = [Way(backend, name, network) for backend in BACKENDS for name in WAYS]
    ways += [Way("numpy", "floor", network)] if network == "article" else []
    logs = PLACE / "epochs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for way in ways:
            versions |= way.start(threads, logs / f"{network}-{way.backend}-{way.name}.log", stack)
            way.run()
        for number in range(rounds):
            for way in reversed(ways) if number % 2 else ways:
                way.run()
    return ways


def ratios(ways: list[Way]) -> dict[str, dict[str, float]]:
    """Of each backend: how many times ours' seconds each other way takes, and how many times the floor's ours takes."""
    seconds = {(way.backend, way.name): way.seconds for way in ways}
    floor = seconds.get(("numpy", "floor"))
    found = {}
    for backend in BACKENDS:
        ours = seconds[backend, "ours"]
        found[backend] = {f"{name} / ours": seconds[backend, name] / ours for name in WAYS if name != "ours"}
        found[backend] |= {FLOOR: ours / floor} if floor else {}
    return found


def table_of(network: str, rounds: int, ways: list[Way], found: dict[str, dict[str, float]]) -> Table:
    floors = [f"{backend} {of[FLOOR]:.2f}" for backend, of in found.items() if FLOOR in of]
    table = Table(
        title=f"{network}: an epoch of MNIST with its evaluation, {rounds} counted",
        caption=f"{FLOOR}: {', '.join(floors)}" if floors else None,
    )
    for column in ("backend", "way", "median, s", "first, s", "/ ours", "accuracy", "peak, MB"):
        table.add_column(column, justify="left" if column in ("backend", "way") else "right")
    for way in ways:
        ratio, last = found.get(way.backend, {}).get(f"{way.name} / ours"), way.epochs[-1]
        cells = [f"{way.seconds:.2f}", f"{way.epochs[0]['seconds']:.2f}", f"{ratio:.2f}" if ratio else ""]
        cells += [f"{last['test_accuracy']:.4f}", f"{last['peak_memory_mb']:.0f}"]
        table.add_row(way.backend, way.name, *cells, end_section=way.name == "ours")
    return table


def machine(threads: int) -> dict[str, Any]:
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
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--rounds", type=int, help="epochs to count, of every network; by default fewer of a larger one"
    )
    parser.add_argument("--networks", default=",".join(ROUNDS), help="of " + ",".join(ROUNDS))
    asked = parser.parse_args()
    networks = asked.networks.split(",")
    if unknown := set(networks) - set(ROUNDS):
        parser.error(f"no network {', '.join(sorted(unknown))}: choose of {', '.join(ROUNDS)}")
    console, settings = Console(), Settings.from_env()
    try:
        datasets.ensure_cached(datasets.find("mnist", settings), settings)
    except MissingDatasetError as error:
        console.print(f"Nothing is measured without MNIST: {error}")
        return 0
    threads = settings.threads_per_backend
    results: dict[str, Any] = {"machine": machine(threads), "networks": {}}
    for network in networks:
        rounds = asked.rounds or ROUNDS[network]
        ways = measured(network, rounds, threads, results["machine"]["versions"])
        found = ratios(ways)
        console.print(table_of(network, rounds, ways, found))
        epochs = [{"backend": way.backend, "way": way.name, "epochs": way.epochs} for way in ways]
        results["networks"][network] = {"rounds": rounds, "ratios": found, "ways": epochs}
        (PLACE / "epochs.json").write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
