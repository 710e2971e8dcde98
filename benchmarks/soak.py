"""Run light traffic for a while, and measure whether memory grows: `make soak MINUTES=20`.

    .venv/test/bin/python -m benchmarks.soak [--minutes 20] [--csv soak.csv]

Four clients predict with PNG files and with tensors, on both backends. Another client submits small trainings and
evaluations, one after the other, and deletes old models so that about 16 are kept. Every five seconds the memory of
each service and of Redis is read.

The table shows each service's memory after the first quarter, which is the warm-up, and at the end. The growth is the
slope of a robust line (Theil and Sen: the median slope of all pairs of points) over the time after the warm-up.
"""

import argparse
import contextlib
import csv
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
from redis import Redis
from rich.console import Console
from rich.table import Table
from scipy.stats import theilslopes

from benchmarks.processes import list_process_tree
from benchmarks.stack import running_stack
from shared.jobs.connection import connect
from shared.settings import Settings

PREDICTING_CLIENTS = 4
SAMPLE_EVERY_S = 5
KEPT_MODELS = 16
WARM_UP_SHARE = 0.25
PICTURE = Path("samples/seven-8x8.png")
MODEL = "soak"
REQUEST = {"network": "mlp", "dataset": "digits", "epochs": 2, "batch_size": 64, "name": MODEL}
TIMEOUT_S = 30
JOB_TIMEOUT_S = 120


@dataclass
class Observations:
    """What the clients saw and what was measured. Several threads write to it.

    Attributes:
        answers: what was answered, such as `prediction 200` -> how often.
        unexplained: the answers that have no explanation.
        jobs: how many trainings, evaluations and deletions have ended.
        loads: how many models each predictor has loaded.
        samples: seconds since the start, and name -> MB.
    """

    answers: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    jobs: int = 0
    loads: int = 0
    samples: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    def count(self, what: str, response: requests.Response, *explained: int) -> None:
        """Count a response; a status other than 200, 202 and the explained ones is an unexplained error."""
        self.answers[f"{what} {response.status_code}"] += 1
        if response.status_code not in (200, 202, *explained):
            self.unexplained.append(f"{what}: {response.status_code} {response.text[:200]}")


class Clients:
    """The clients, from the beginning of a `with` block to its end.

    Args:
        url: the gateway's URL.
        backends: the backends that are asked.
        found: where everything is counted.
    """

    def __init__(self, url: str, backends: tuple[str, ...], found: Observations) -> None:
        self._url, self._backends, self._found = url, backends, found
        self._stop = threading.Event()
        work: list[Callable[[requests.Session], None]] = [self._predict_repeatedly] * PREDICTING_CLIENTS
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in (*work, self._train_repeatedly)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[requests.Session], None]) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = False
                work(session)
        except (requests.RequestException, LookupError) as error:
            self._found.unexplained.append(f"a client stopped: {error!r}"[:200])

    def _predict_repeatedly(self, session: requests.Session) -> None:
        for number in itertools.count():
            if self._stop.wait(0.02):
                return
            if number % 2:
                url, headers = f"{self._url}/v1/predictions?model={MODEL}", {"Content-Type": "image/png"}
                response = session.post(url, PICTURE.read_bytes(), headers=headers, timeout=TIMEOUT_S)
                self._found.count("prediction", response)
                if response.ok and response.json()["errors"]:
                    self._found.unexplained.append(f"a backend is missing: {response.json()['errors']}")
            else:
                backend = self._backends[number // 2 % len(self._backends)]
                tensor = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [number % 256] * 64}
                url = f"{self._url}/v2/models/{MODEL}-{backend}/infer"
                self._found.count("tensor", session.post(url, json={"inputs": [tensor]}, timeout=TIMEOUT_S))

    def _train_repeatedly(self, session: requests.Session) -> None:
        while not self._stop.is_set():
            self._submit(session, "trainings", REQUEST)
            self._submit(session, "evaluations", {"model": MODEL})
            self._delete_old_models(session)

    def _submit(self, session: requests.Session, kind: str, request: dict[str, object]) -> None:
        response = session.post(f"{self._url}/v1/{kind}", json=request, timeout=TIMEOUT_S)
        self._found.count(kind, response)
        if response.status_code == 202:
            self._follow(session, response.headers["Location"], response.json()["status"])

    def _delete_old_models(self, session: requests.Session) -> None:
        """Delete the oldest versions. A backend's trainer deletes one after the other, so each is waited for."""
        versions = session.get(f"{self._url}/v1/models/{MODEL}", timeout=TIMEOUT_S).json()["versions"]
        for backend, had in versions.items():
            for version in had[:-KEPT_MODELS]:
                response = session.delete(f"{self._url}/v1/models/{MODEL}/{backend}/{version}", timeout=TIMEOUT_S)
                self._found.count("deletion", response)
                if response.status_code == 202:
                    self._follow(session, response.headers["Location"], response.json()["status"])

    def _follow(self, session: requests.Session, path: str, status: str) -> None:
        """Ask for a job until it has ended."""
        for _ in range(JOB_TIMEOUT_S * 5):
            if status not in ("queued", "running"):
                break
            time.sleep(0.2)
            response = session.get(self._url + path, timeout=TIMEOUT_S)
            self._found.count("read", response)
            status = response.json()["status"] if response.ok else status
        self._found.jobs += 1
        self._found.loads += "trainings" in path and status == "succeeded"
        if status != "succeeded":
            self._found.unexplained.append(f"{path} is {status}")


def find_services(settings: Settings) -> dict[str, list[int]]:
    """Return each service's first processes: supervisor's children, named after the last argument of their command."""
    supervisor = int((settings.state_dir / "supervisord.pid").read_text())
    services: dict[str, list[int]] = {}
    for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode().split()
        if words:
            name = "redis" if "redis-server" in words[0] else words[-1].removeprefix("services.")
            services.setdefault(name, []).append(int(child))
    return services


def read_memory_mb(service: str, pids: list[int]) -> float:
    """Return the resident memory of a service's processes and their children, in MB of 1,000,000 bytes.

    For a service of one process it is the resident set size. For a service of several processes it is the sum of their
    proportional set sizes, in which a page that they share counts once. The work horses of trainers and of the load
    tester live for one job, so they do not count.
    """
    lives_for_one_job = service.endswith("trainer") or service == "loadtest"
    counted = set(pids) if lives_for_one_job else list_process_tree(pids)
    total = 0
    for pid in counted:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # the process has ended
        # A process of another service can share pages, too, such as those of a library. It may end at any moment, so
        # the proportional size is not used where it is not needed.
        field_name = "Rss:" if len(counted) == 1 else "Pss:"
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field_name))
    return total / 1e6


def read_sample(settings: Settings, redis: Redis) -> dict[str, float]:
    """Return the memory of each service and what Redis says that it uses, in MB."""
    sample = {name: read_memory_mb(name, pids) for name, pids in find_services(settings).items()}
    sample["redis: used_memory"] = redis.info("memory")["used_memory"] / 1e6
    return sample


@dataclass(frozen=True)
class Growth:
    """How one figure developed after the warm-up. Memory is in MB.

    Attributes:
        first: the line's value at the end of the warm-up.
        last: the line's value at the end.
    """

    first: float
    last: float

    @property
    def percent(self) -> float:
        """Return the growth from `first` to `last` in per cent."""
        return 100 * (self.last - self.first) / self.first if self.first else 0.0


def fit_growth(samples: list[tuple[float, dict[str, float]]], name: str) -> Growth:
    """Return the growth of one figure, from a robust line through the samples after the warm-up."""
    warm = [(at, sample[name]) for at, sample in samples if name in sample and at >= samples[-1][0] * WARM_UP_SHARE]
    times, values = zip(*warm, strict=True)
    slope, intercept, _, _ = theilslopes(values, times)
    return Growth(float(intercept + slope * times[0]), float(intercept + slope * times[-1]))


def main() -> int:
    """Run the soak, print its table, and return 1 if there was an unexplained error."""
    parser = argparse.ArgumentParser(description="Run light traffic and measure whether memory grows.")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--csv", type=Path, help="a file for every sample")
    parsed = parser.parse_args()
    found = Observations()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, settings):
        # A large first batch of jobs is part of the warm-up: the model must exist before the clients ask for it.
        client.follow(f"/v1/trainings/{client.post('/v1/trainings', REQUEST)['id']}")
        with connect(settings, patient=False) as redis, Clients(client.url, settings.backends, found):
            started = time.monotonic()
            used_at_warm_up, jobs_at_warm_up = 0.0, 0
            for _ in range(max(4, round(parsed.minutes * 60 / SAMPLE_EVERY_S))):
                time.sleep(SAMPLE_EVERY_S)
                at = time.monotonic() - started
                with contextlib.suppress(OSError):  # a process or a thread ended while it was looked at
                    found.samples.append((at, {**read_sample(settings, redis), "jobs": found.jobs}))
                if not jobs_at_warm_up and at >= parsed.minutes * 60 * WARM_UP_SHARE:
                    used_at_warm_up, jobs_at_warm_up = found.samples[-1][1]["redis: used_memory"], found.jobs
    jobs = found.jobs - jobs_at_warm_up
    grown_bytes = (found.samples[-1][1]["redis: used_memory"] - used_at_warm_up) * 1e6
    print_tables(found, grown_bytes / jobs if jobs else 0.0)
    if parsed.csv:
        write_csv(found, parsed.csv)
    return int(bool(found.unexplained))


def print_tables(found: Observations, bytes_per_job: float) -> None:
    """Print the memory of each service, and what the clients were answered."""
    console = Console()
    table = Table("service", "first MB", "last MB", "growth %", title=f"{found.samples[-1][0] / 60:.1f} minutes")
    for name in sorted(set(found.samples[-1][1]) - {"jobs"}):
        growth = fit_growth(found.samples, name)
        table.add_row(name, f"{growth.first:.1f}", f"{growth.last:.1f}", f"{growth.percent:+.1f}")
    console.print(table)
    answers = ", ".join(f"{count:,} {what}" for what, count in sorted(found.answers.items()))
    console.print(f"{answers}\n{found.jobs} jobs ended; each predictor loaded about {found.loads} models")
    console.print(f"Redis grew by {bytes_per_job:,.0f} bytes per job after the warm-up")
    console.print(f"{len(found.unexplained)} unexplained errors")
    for error in found.unexplained[:5]:
        console.print(f"  {error}", markup=False)


def write_csv(found: Observations, path: Path) -> None:
    """Write one row per sample: seconds, then MB of each service."""
    names = sorted({name for _, sample in found.samples for name in sample})
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", *names])
        for at, sample in found.samples:
            writer.writerow([f"{at:.1f}", *(f"{sample.get(name, 0):.2f}" for name in names)])


if __name__ == "__main__":
    sys.exit(main())
