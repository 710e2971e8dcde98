"""Measure how cost grows with trainings, models, versions, data and watchers, from 10 to 10,000.

    .venv/test/bin/python -m benchmarks.scale [--largest 10000] [--minutes 12] [--picture docs/scale.svg]

It starts a stack of its own, performs one real job of each kind, and copies the records and the models. At each size it
asks every address of the API that answers GET, predicts, submits, and reads the memory. It prints tables and writes
`.tandem/bench/scale.json`. It needs two cores, 8 GB of memory and about five minutes.

Times depend on the machine. Compare the sizes of one run with each other.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from redis import Redis

from benchmarks.scale.addresses import list_addresses
from benchmarks.scale.data import copy_datasets, time_upload
from benchmarks.scale.originals import MODEL, Originals, perform_originals
from benchmarks.scale.predictions import time_predictions
from benchmarks.scale.records import copy_records
from benchmarks.scale.results import PICTURE, Results
from benchmarks.scale.service_times import (
    read_memory,
    time_expiry,
    time_gateway_start,
    time_submission,
    time_trainer_start,
)
from benchmarks.scale.timing import time_addresses
from benchmarks.scale.volume import copy_models, copy_versions
from benchmarks.scale.watchers import time_events
from benchmarks.stack import isolate_state
from services.cli.client import Client
from services.stack.stack import Stack
from shared.jobs.connection import connect
from shared.models.registry import ModelRegistry
from shared.settings import Settings

SIZES = (10, 100, 1000, 10_000)
MAX_MODELS = 2000
MAX_DATASETS = 1000
OTHER_KINDS = 10  # there is one evaluation, certificate, ... per so many trainings
WATCHERS = SIZES
WATCHED_PROCESSES = 24  # of the gateway: each has 512 streams at most
MANY = "many-versions"
ROUNDS = 15
READY_TIMEOUT_S = 600
TRAINER = "pytorch"


def main() -> int:
    """Measure, print the tables, and draw the picture."""
    parser = argparse.ArgumentParser(description="Measure how cost grows.")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="the largest number of trainings")
    parser.add_argument("--minutes", type=float, default=12, help="how long the requests are repeated, altogether")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="the SVG file to draw")
    arguments = parser.parse_args()
    sizes = [size for size in SIZES if size <= arguments.largest]
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(isolate_state(Path(folder), {}), log=Path(folder, "log"))
        try:
            stack.start()
            stack.wait_ready(READY_TIMEOUT_S)
            with connect(stack.operator_settings, patient=True) as redis:
                limit_s = 60 * arguments.minutes / (3 * len(sizes))
                measure(Client(stack.url), stack.operator_settings, redis, sizes, limit_s, results)
        finally:
            stack.stop()
    measure_watchers([size for size in WATCHERS if size <= arguments.largest], results)
    results.print()
    results.draw(arguments.picture)
    return 0


def measure(
    client: Client, settings: Settings, redis: Redis, sizes: list[int], limit_s: float, results: Results
) -> None:
    """Measure everything at each size. The sizes grow, so that records and models are only added.

    Args:
        limit_s: how long the addresses are asked at each size, in seconds.
    """
    originals = perform_originals(client, settings.backends)
    registry = ModelRegistry(settings.model_dir)
    document = client.get("/openapi.json")
    for size in sizes:
        models = min(size, MAX_MODELS)
        ids = {
            kind: copy_records(
                redis, kind, identity, size if kind == "training" else max(2, size // OTHER_KINDS), models
            )
            for kind, identity in originals.identities.items()
        }
        copy_models(registry, MODEL, originals.backends, originals.version, models)
        measure_requests(client, document, originals, ids, "GET, by trainings", size, limit_s, results)
        found = time_predictions(client.url, MODEL)
        results.add(
            "predictions",
            size,
            {"median ms": found.alone.median_ms, "p99 ms": found.alone.p99_ms, "per second": found.rate},
        )
        results.add("a submission, ms", size, {"POST /v1/trainings": time_submission(client, redis)})
        results.add("memory in MB", size, read_memory(settings, redis))
        if size in (sizes[0], sizes[-1]):
            starts = {
                "gateway": time_gateway_start(client, settings),
                f"{TRAINER}'s trainer": time_trainer_start(client, settings, TRAINER),
            }
            results.add("a start, s", size, starts)
    measure_versions(client, registry, originals, sizes, results)
    results.add(
        "expiry, ms", sizes[-1], {"a submission that drops the whole list": time_expiry(client, redis, sizes[-1])}
    )
    measure_data(client, settings, sizes, results)


def measure_requests(
    client: Client,
    document: dict,
    originals: Originals,
    ids: dict[str, list[str]],
    topic: str,
    size: int,
    limit_s: float,
    results: Results,
) -> None:
    """Ask every address, and store its times."""
    addresses = list_addresses(document, originals, ids, MODEL)
    times = time_addresses(client.url, addresses.values(), ROUNDS, limit_s)
    results.add(topic, size, {name: asdict(times[address]) for name, address in addresses.items()})


def measure_versions(
    client: Client, registry: ModelRegistry, originals: Originals, sizes: list[int], results: Results
) -> None:
    """Measure what depends on how many versions one model has."""
    paths = ("/v1/models", f"/v1/models/{MANY}", f"/v2/models/{MANY}", f"/v2/models/{MANY}/stats", "/v2/models/stats")
    for size in sizes:
        copy_versions(registry, MODEL, originals.backends, originals.version, MANY, size)
        time.sleep(3)  # a folder that has just changed is read again by each request
        times = time_addresses(client.url, paths, ROUNDS, limit_s=30)
        results.add("GET, by versions", size, {path: asdict(found) for path, found in times.items()})
        found = time_predictions(client.url, MANY)
        results.add("predictions, by versions", size, {"median ms": found.alone.median_ms, "per second": found.rate})


def measure_data(client: Client, settings: Settings, sizes: list[int], results: Results) -> None:
    """Measure what depends on how large a dataset is, and on how many there are."""
    for size in sizes:
        results.add("an upload, s", size, {"zip of so many pictures": time_upload(client, size)})
    for size in sizes:
        if size <= MAX_DATASETS:
            copy_datasets(settings.upload_dir, size)
            times = time_addresses(client.url, ("/v1/datasets", "/v1/status"), ROUNDS, limit_s=30)
            results.add("GET, by datasets", size, {path: asdict(found) for path, found in times.items()})


def measure_watchers(numbers: list[int], results: Results) -> None:
    """Measure how long an event needs to reach all watchers of a job. Without a trainer, the job stays in the queue."""
    settings = {"TANDEM_GATEWAY_PROCESSES": str(WATCHED_PROCESSES)}
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(isolate_state(Path(folder), settings), log=Path(folder, "log"), trainers=0)
        try:
            stack.start()
            stack.wait_ready(READY_TIMEOUT_S)
            for number in numbers:
                results.add("an event, ms", number, asdict(time_events(Client(stack.url), number)))
        finally:
            stack.stop()


if __name__ == "__main__":
    sys.exit(main())
