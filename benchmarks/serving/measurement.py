"""Sends load to the contestants with `hey`, and measures rate, latency, errors and CPU time."""

import csv
import subprocess
from dataclasses import dataclass
from statistics import median_grouped
from typing import NamedTuple

from benchmarks.processes import read_cpu_seconds
from benchmarks.serving.contestants import Contestant

CONNECTIONS = (1, 16, 64)
WARM_UP_S = 2
RESOLUTION_MS = 0.1  # hey rounds times to this step; the median is interpolated within the step


class Response(NamedTuple):
    """One response that `hey` received.

    Attributes:
        start_s: when the request was sent, in seconds after the start of `hey`.
        duration_s: seconds until the response was complete.
        status: the HTTP status.
    """

    start_s: float
    duration_s: float
    status: str


@dataclass(frozen=True)
class Measurement:
    """What was measured of one contestant in one round with one number of connections.

    Attributes:
        per_second: successful responses per second.
        p50_ms: the median latency.
        p99_ms: the 99th percentile of the latency.
        errors: requests with another status than 200, or without a response.
        cpu_s_per_1000: CPU seconds of the contestant's processes per 1,000 requests.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_s_per_1000: float


# Contestant's name, then number of connections, then one measurement per round.
Measurements = dict[str, dict[int, list[Measurement]]]


def run_hey(contestant: Contestant, connections: int, *amount: str) -> list[Response]:
    """Send a contestant's request again and again over persistent connections.

    Args:
        contestant: the server and the request.
        connections: how many send at the same time. Each waits for a response before it sends the next request.
        amount: the option of `hey` that ends the load: `-n` and a number of requests, or `-z` and a duration.

    Raises:
        subprocess.CalledProcessError: `hey` failed.
    """
    command = ["hey", *amount, "-c", str(connections), "-o", "csv", "-m", "POST"]
    command += ["-T", contestant.media_type, "-D", str(contestant.body), contestant.url]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = csv.DictReader(process.stdout.splitlines())
    return [Response(float(row["offset"]), float(row["response-time"]), row["status-code"]) for row in rows]


def count_successes(responses: list[Response]) -> int:
    """Return how many responses have the status 200."""
    return sum(response.status == "200" for response in responses)


def success_rate(responses: list[Response]) -> float:
    """Return the successful responses per second, from the first request to the last response."""
    if not responses:
        return 0.0
    start_s = min(response.start_s for response in responses)
    end_s = max(response.start_s + response.duration_s for response in responses)
    return count_successes(responses) / (end_s - start_s)


def measure_warm_rate(contestant: Contestant, connections: int) -> float:
    """Warm a contestant up, and return its successful responses per second in the second half of the warm-up."""
    responses = run_hey(contestant, connections, "-z", f"{WARM_UP_S}s")
    return success_rate(responses[len(responses) // 2 :])


def measure(contestant: Contestant, connections: int, count: int) -> Measurement:
    """Measure a contestant with a fixed number of requests, so that requests without a response can be counted."""
    cpu_seconds_before = read_cpu_seconds(contestant.pids)
    responses = run_hey(contestant, connections, "-n", str(count))
    cpu_seconds = read_cpu_seconds(contestant.pids) - cpu_seconds_before
    latencies_ms = sorted(response.duration_s * 1000 for response in responses) or [0.0]
    return Measurement(
        per_second=success_rate(responses),
        p50_ms=median_grouped(latencies_ms, RESOLUTION_MS),
        p99_ms=latencies_ms[min(len(latencies_ms) - 1, round(len(latencies_ms) * 0.99))],
        errors=count - count_successes(responses),
        cpu_s_per_1000=cpu_seconds / count * 1000,
    )


def measure_rounds(contestants: list[Contestant], rounds: int, seconds: float) -> Measurements:
    """Measure all contestants in turn with each number of connections, for some rounds.

    Each round begins with the next contestant, so that a machine that becomes slower affects all alike.

    Args:
        contestants: the servers, at least one. All of them answer.
        rounds: how often everything is measured.
        seconds: about how long one measurement lasts. The warm-up determines how many requests fit this time.
    """
    counts = {}
    for contestant in contestants:
        for connections in CONNECTIONS:
            # hey sends the same number of requests over each connection.
            per_connection = round(measure_warm_rate(contestant, connections) * seconds / connections)
            counts[contestant.name, connections] = max(connections, per_connection * connections)
    measurements: Measurements = {
        contestant.name: {connections: [] for connections in CONNECTIONS} for contestant in contestants
    }
    for number in range(rounds):
        first = number % len(contestants)
        for connections in CONNECTIONS:
            for contestant in contestants[first:] + contestants[:first]:
                count = counts[contestant.name, connections]
                measurements[contestant.name][connections].append(measure(contestant, connections, count))
        print(f"round {number + 1} of {rounds}", flush=True)
    return measurements
