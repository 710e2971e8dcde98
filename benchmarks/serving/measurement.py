"""Measures rate, latency, errors and CPU time of the contestants in rounds."""

from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.processes import read_cpu_seconds
from benchmarks.serving.contestants import Contestant
from benchmarks.serving.load import send_load
from benchmarks.serving.workloads import Workload

WARM_UP_S = 2


class Row(NamedTuple):
    """What is measured of all contestants in turn: a workload's name with a number of connections."""

    workload: str
    connections: int

    def __str__(self) -> str:
        return f"{self.workload}, {self.connections} connection{'s' * (self.connections > 1)}"


@dataclass(frozen=True)
class Measurement:
    """What was measured of one contestant in one round of a row.

    Attributes:
        per_second: successful responses per second.
        p50_ms: the median latency.
        p99_ms: the 99th percentile of the latency.
        errors: responses with a status of 400 or more, and requests without a response.
        cpu_s_per_1000: CPU seconds of the contestant's processes per 1,000 responses.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_s_per_1000: float


# For each row, the contestants that were measured, and one measurement per round.
Measurements = dict[Row, dict[str, list[Measurement]]]


def list_rows(workloads: list[Workload], connections: list[int] | None) -> list[Row]:
    """Return the rows of workloads.

    Args:
        workloads: the workloads.
        connections: the numbers of connections for each workload, or None for the workload's own.
    """
    return [Row(workload.name, count) for workload in workloads for count in connections or workload.connections]


def measure(contestant: Contestant, row: Row, seconds: int) -> Measurement:
    """Measure a contestant once."""
    cpu_seconds_before = read_cpu_seconds(contestant.pids)
    load = send_load(contestant.requests[row.workload], row.connections, seconds)
    cpu_seconds = read_cpu_seconds(contestant.pids) - cpu_seconds_before
    return Measurement(
        per_second=load.per_second,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        errors=load.errors,
        cpu_s_per_1000=cpu_seconds / max(load.responses, 1) * 1000,
    )


def measure_rounds(contestants: list[Contestant], rows: list[Row], rounds: int, seconds: int) -> Measurements:
    """Warm all contestants up, and measure them in turn in each row, for some rounds.

    Each round begins with the next contestant, so that a machine that becomes slower affects all alike.

    Args:
        contestants: the servers. All of them answer.
        rows: what is measured. A contestant without a row's workload is left out of the row.
        rounds: how often everything is measured.
        seconds: how long one measurement lasts.
    """
    entrants = {row: [each for each in contestants if row.workload in each.requests] for row in rows}
    for row in rows:
        for contestant in entrants[row]:
            send_load(contestant.requests[row.workload], row.connections, WARM_UP_S)
    measurements: Measurements = {row: {each.name: [] for each in entrants[row]} for row in rows}
    for number in range(rounds):
        for row in rows:
            first = number % max(len(entrants[row]), 1)
            for contestant in entrants[row][first:] + entrants[row][:first]:
                measurements[row][contestant.name].append(measure(contestant, row, seconds))
        print(f"round {number + 1} of {rounds}", flush=True)
    return {row: by_contestant for row, by_contestant in measurements.items() if by_contestant}
