"""Measures the services themselves: memory, the time of a start, and the time of a submission."""

import os
import signal
import time
from collections.abc import Callable
from statistics import median

from redis import Redis

from benchmarks.scale.originals import TRAINING
from benchmarks.soak import find_services, read_sample
from services.cli.client import Client, ClientError
from shared.settings import Settings

WAIT_S = 180
GATEWAY = "gateway"
SUBMISSIONS = 7
INDEX = "tandem:trainings"


def read_memory(settings: Settings, redis: Redis) -> dict[str, float]:
    """Return the memory of each service, and what Redis says that it uses, in MB."""
    return read_sample(settings, redis)


def time_gateway_start(client: Client, settings: Settings) -> float:
    """End the gateway, and return the seconds until supervisor's new one has answered with all models."""
    return _time_restart(settings, GATEWAY, lambda: bool(client.get("/v1/models")["models"]))


def time_trainer_start(client: Client, settings: Settings, backend: str) -> float:
    """End a backend's trainer, and return the seconds until a new one waits for jobs."""

    def is_idle() -> bool:
        return any(worker["state"] == "idle" for worker in client.get("/v1/status")["backends"][backend]["trainers"])

    return _time_restart(settings, f"{backend}.trainer", is_idle)


def time_submission(client: Client, redis: Redis) -> float:
    """Return the median time of a training's submission, in milliseconds.

    The trainings are cancelled, and removed from the list, because they have no history as other trainings have.
    """
    times_ms = []
    for number in range(SUBMISSIONS):
        started = time.perf_counter()
        identity = client.post("/v1/trainings", {**TRAINING, "name": "submitted", "publish": False, "seed": number})[
            "id"
        ]
        times_ms.append(1000 * (time.perf_counter() - started))
        client.post(f"/v1/trainings/{identity}/cancel", {})
        redis.zrem(INDEX, identity)
    return median(times_ms)


def time_expiry(client: Client, redis: Redis, count: int) -> float:
    """Let `count` entries of the list of trainings expire, and return the time of the next submission in milliseconds.

    Redis removes the records by itself. The entries of the list are removed by the next submission.
    """
    redis.zadd(INDEX, dict.fromkeys(redis.zrange(INDEX, 0, count - 1), 1.0))
    started = time.perf_counter()
    identity = client.post("/v1/trainings", {**TRAINING, "name": "submitted", "publish": False})["id"]
    elapsed_ms = 1000 * (time.perf_counter() - started)
    client.post(f"/v1/trainings/{identity}/cancel", {})
    return elapsed_ms


def _time_restart(settings: Settings, service: str, is_ready: Callable[[], bool]) -> float:
    """End a service's process, and return the seconds until its successor is ready.

    Raises:
        TimeoutError: it was not within three minutes.
    """
    old = find_services(settings)[service]
    started = time.monotonic()
    for pid in old:
        os.kill(pid, signal.SIGTERM)
    while time.monotonic() - started < WAIT_S:
        try:
            new = find_services(settings).get(service, [])
            if new and not set(new) & set(old) and is_ready():
                return time.monotonic() - started
        except (ClientError, OSError):
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{service} did not start again within {WAIT_S} s")
