"""The tables of the benchmark, the sentences about peers that win, and the file with every measurement."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from benchmarks.processes import Memory
from benchmarks.serving.contestants import REFERENCE
from benchmarks.serving.measurement import Measurements, Row
from benchmarks.serving.peers import PEERS

RESULTS = Path(".tandem/bench/serving.json")
FIGURES = {"per_second": "requests/s", "p50_ms": "p50", "p99_ms": "p99"}
"""The figures that are compared: attributes of Measurement, and what the tables call them."""


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


def median_figure(measurements: Measurements, row: Row, name: str, figure: str) -> float:
    """Return the median over the rounds of a contestant's figure.

    Args:
        measurements: of all contestants.
        row: one of the rows.
        name: a contestant of the row.
        figure: an attribute of Measurement.
    """
    return float(median(getattr(measurement, figure) for measurement in measurements[row][name]))


def find_best(measurements: Measurements, row: Row, names: Iterable[str]) -> str | None:
    """Return which of some contestants has the most requests per second, or None if none was measured."""
    measured = [name for name in names if name in measurements.get(row, {})]
    return max(measured, key=lambda name: median_figure(measurements, row, name, "per_second"), default=None)


def compare(measurements: Measurements, row: Row, figure: str, name: str, opponent: str | None) -> Ratio | None:
    """Divide a contestant's figure by its opponent's.

    Args:
        measurements: of all contestants.
        row: the row.
        figure: an attribute of Measurement.
        name: the contestant.
        opponent: the other contestant, or None.

    Returns:
        The ratio, or None if one of the two was not measured, or the opponent answered nothing in a round.
    """
    by_contestant = measurements.get(row, {})
    if name not in by_contestant or opponent not in by_contestant:
        return None
    pairs = [
        (getattr(own, figure), getattr(other, figure))
        for own, other in zip(by_contestant[name], by_contestant[opponent], strict=True)
    ]
    if not all(other for _, other in pairs):
        return None
    ratios = [own / other for own, other in pairs]
    of_medians = median(own for own, _ in pairs) / median(other for _, other in pairs)
    return Ratio(of_medians, min(ratios), max(ratios))


def create_table(measurements: Measurements, row: Row, memory: dict[str, Memory]) -> Table:
    """Return the table of all contestants of a row.

    The last column divides each rate by the best peer's. It is empty if no peer was measured.

    Args:
        measurements: of all contestants.
        row: one of the rows.
        memory: of each contestant.
    """
    best_peer = find_best(measurements, row, PEERS)
    by_contestant = measurements[row]
    rounds = max(len(rounds) for rounds in by_contestant.values())
    table = Table(title=f"{row}: medians of {rounds} rounds")
    last_column = f"rate / {best_peer or 'best peer'}'s"
    for column in ("", "requests/s", "p50 ms", "p99 ms", "errors", "CPU s / 1,000", "peak MB", "PSS MB", last_column):
        table.add_column(column, justify="right" if column else "left")
    for name in by_contestant:
        table.add_row(
            name,
            f"{median_figure(measurements, row, name, 'per_second'):,.0f}",
            f"{median_figure(measurements, row, name, 'p50_ms'):.3f}",
            f"{median_figure(measurements, row, name, 'p99_ms'):.2f}",
            str(sum(measurement.errors for measurement in by_contestant[name])),
            f"{median_figure(measurements, row, name, 'cpu_s_per_1000'):.3f}",
            f"{memory[name].peak_mb:.0f}",
            f"{memory[name].proportional_mb:.0f}",
            str(compare(measurements, row, "per_second", name, best_peer) or ""),
        )
    return table


def list_peer_wins(measurements: Measurements) -> Iterator[str]:
    """Yield a sentence for each row and figure in which peers are better than Tandem's PyTorch backend.

    Each peer is followed by the ratio of its figure and Tandem's.
    """
    for row in measurements:
        for figure, title in FIGURES.items():
            ratios = {peer: compare(measurements, row, figure, peer, REFERENCE) for peer in PEERS}
            wins = [
                f"{peer} ({ratio.of_medians:.2f})"
                for peer, ratio in ratios.items()
                if ratio and (ratio.of_medians > 1 if figure == "per_second" else ratio.of_medians < 1)
            ]
            if wins:
                yield f"{row}: better {title} than {REFERENCE}: {', '.join(wins)}"


def write_results(measurements: Measurements, memory: dict[str, Memory]) -> None:
    """Write every measurement and the memory of each contestant to RESULTS."""
    rows = {
        str(row): {name: [vars(each) for each in rounds] for name, rounds in by_contestant.items()}
        for row, by_contestant in measurements.items()
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    content = {"rows": rows, "memory": {name: each._asdict() for name, each in memory.items()}}
    RESULTS.write_text(json.dumps(content, indent=1))
