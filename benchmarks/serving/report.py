"""The benchmark's tables, and the file with every measurement."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from benchmarks.serving.contestants import NOOP, PNG_TO_BOTH, REFERENCE, is_peer
from benchmarks.serving.measurement import Measurements

RESULTS = Path(".tandem/bench/serving.json")


@dataclass(frozen=True)
class Ratio:
    """How one contestant's figure compares with another's.

    Attributes:
        of_medians: the ratio of the two medians over the rounds.
        least: the least ratio within a round.
        most: the largest ratio within a round.
    """

    of_medians: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.of_medians:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass(frozen=True)
class Target:
    """A goal for the ratio between a contestant and another one, with the same number of connections.

    Attributes:
        title: what the table calls the figure.
        figure: an attribute of Measurement.
        contestant: whose figure is the numerator.
        connections: the number of connections.
        opponent: whose figure is the denominator. None is the best peer.
        goal: the range in which the ratio should be.
    """

    title: str
    figure: str
    contestant: str
    connections: int
    opponent: str | None
    goal: str


TARGETS = (
    Target("requests/s", "per_second", REFERENCE, 16, None, "1.8 or more"),
    Target("p99", "p99_ms", REFERENCE, 16, None, "1 or less"),
    Target("p50", "p50_ms", REFERENCE, 1, None, "1.3 or less"),
    Target("requests/s", "per_second", REFERENCE, 64, None, "1.8 or more"),
    Target("requests/s", "per_second", PNG_TO_BOTH, 16, None, "0.5 or more"),
    Target("requests/s", "per_second", REFERENCE, 16, NOOP, "0.5 or more"),
    Target("requests/s", "per_second", REFERENCE, 64, NOOP, "0.5 or more"),
)


def median_figure(measurements: Measurements, name: str, connections: int, figure: str) -> float:
    """Return the median over the rounds of a contestant's figure.

    Args:
        measurements: of all contestants.
        name: the contestant.
        connections: the number of connections.
        figure: an attribute of Measurement.
    """
    return median(getattr(measurement, figure) for measurement in measurements[name][connections])


def find_best_peer(measurements: Measurements, connections: int) -> str | None:
    """Return the peer with the most requests per second, or None if no peer was measured."""
    peers = [name for name in measurements if is_peer(name)]
    return max(peers, key=lambda name: median_figure(measurements, name, connections, "per_second"), default=None)


def compare(measurements: Measurements, connections: int, figure: str, name: str, opponent: str | None) -> Ratio | None:
    """Divide a contestant's figure by its opponent's.

    Args:
        measurements: of all contestants.
        connections: the number of connections.
        figure: an attribute of Measurement.
        name: the contestant.
        opponent: the other contestant, or None.

    Returns:
        The ratio, or None if one of the two was not measured.
    """
    if name not in measurements or opponent not in measurements:
        return None
    pairs = zip(measurements[name][connections], measurements[opponent][connections], strict=True)
    ratios = [getattr(own, figure) / getattr(other, figure) for own, other in pairs]
    own_median = median_figure(measurements, name, connections, figure)
    return Ratio(own_median / median_figure(measurements, opponent, connections, figure), min(ratios), max(ratios))


def format_connections(connections: int) -> str:
    """Return a number with its noun, such as "1 connection" or "16 connections"."""
    return f"{connections} connection{'s' * (connections > 1)}"


def count_errors(measurements: Measurements, name: str, connections: int) -> int:
    """Return a contestant's errors in all rounds."""
    return sum(measurement.errors for measurement in measurements[name][connections])


def create_table(measurements: Measurements, connections: int, peak_memory_mb: dict[str, float]) -> Table:
    """Return the table of all contestants with one number of connections.

    The last column divides each rate by the best peer's. It is empty if no peer was measured.

    Args:
        measurements: of at least one contestant.
        connections: the number of connections.
        peak_memory_mb: of each contestant.
    """
    best_peer = find_best_peer(measurements, connections)
    rounds = max(len(by_connections[connections]) for by_connections in measurements.values())
    table = Table(title=f"{format_connections(connections)}, medians of {rounds} rounds")
    last_column = f"rate / {best_peer or 'best peer'}'s"
    for column in ("", "requests/s", "p50 ms", "p99 ms", "errors", "CPU s / 1,000", "peak MB", last_column):
        table.add_column(column, justify="right" if column else "left")
    for name in measurements:
        table.add_row(
            name,
            f"{median_figure(measurements, name, connections, 'per_second'):,.0f}",
            f"{median_figure(measurements, name, connections, 'p50_ms'):.2f}",
            f"{median_figure(measurements, name, connections, 'p99_ms'):.2f}",
            str(count_errors(measurements, name, connections)),
            f"{median_figure(measurements, name, connections, 'cpu_s_per_1000'):.2f}",
            f"{peak_memory_mb[name]:.0f}",
            str(compare(measurements, connections, "per_second", name, best_peer) or ""),
        )
    return table


def create_target_table(measurements: Measurements) -> Table:
    """Return the table that compares Tandem with its targets.

    A ratio is empty if one of its two contestants was not measured.
    """
    table = Table(title="Tandem / another server: ratios of medians (least and largest ratio within a round)")
    for column in ("", "compared with", "measured", "target"):
        table.add_column(column)
    for target in TARGETS:
        opponent = target.opponent or find_best_peer(measurements, target.connections)
        ratio = compare(measurements, target.connections, target.figure, target.contestant, opponent)
        title = f"{target.contestant}, {target.title} at {format_connections(target.connections)}"
        table.add_row(title, opponent or "best peer", str(ratio or ""), target.goal)
    if REFERENCE in measurements:
        errors = str(count_errors(measurements, REFERENCE, 64))
        table.add_row(f"{REFERENCE}, errors at 64 connections", "", errors, "0")
    return table


def write_results(measurements: Measurements, peak_memory_mb: dict[str, float]) -> None:
    """Write every measurement and the peak memory of each contestant to RESULTS."""
    turns = {
        name: {connections: [vars(each) for each in rounds] for connections, rounds in by_connections.items()}
        for name, by_connections in measurements.items()
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"turns": turns, "peak_mb": peak_memory_mb}, indent=1))
