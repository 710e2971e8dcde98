"""The goals for the ratios between two contestants, and their table."""

from dataclasses import dataclass

from rich.table import Table

from benchmarks.serving.measurement import Measurements, Row
from benchmarks.serving.memory import StackMemory
from benchmarks.serving.report import FIGURES, compare, find_best

PYTORCH = "tandem-pytorch"
TWO_GATEWAYS = "two-gateways-pytorch"
MOSEC = ("mosec", "mosec-batching")


@dataclass(frozen=True)
class Target:
    """A goal for the ratio between a contestant and another one in the same row.

    Attributes:
        figure: an attribute of Measurement.
        row: what is measured.
        contestant: whose figure is the numerator.
        opponents: the figure of the one with the most requests per second is the denominator.
        goal: the range in which the ratio should be.
    """

    figure: str
    row: Row
    contestant: str
    opponents: tuple[str, ...]
    goal: str


TARGETS = (
    Target("per_second", Row("article-json", 16), PYTORCH, ("triton",), "0.7 or more"),
    Target("per_second", Row("article-json", 64), PYTORCH, ("triton",), "0.6 or more"),
    Target("per_second", Row("article-json", 16), TWO_GATEWAYS, ("triton",), "0.75 or more"),
    Target("per_second", Row("article-json", 64), TWO_GATEWAYS, ("triton",), "1.0 or more"),
    Target("per_second", Row("article-json", 16), PYTORCH, MOSEC, "1.5 or more"),
    Target("p99_ms", Row("article-json", 64), PYTORCH, ("triton",), "1.5 or less"),
    Target("p50_ms", Row("article-json", 1), PYTORCH, ("triton",), "1.35 or less"),
    Target("p50_ms", Row("article-json", 1), PYTORCH, ("mlserver",), "1.0 or less"),
    Target("per_second", Row("cnn-8-binary", 16), PYTORCH, ("triton",), "0.9 or more"),
    Target("per_second", Row("article-json", 16), TWO_GATEWAYS, (PYTORCH,), "1.0 or more"),
    Target("per_second", Row("article-json", 64), TWO_GATEWAYS, (PYTORCH,), "1.0 or more"),
    Target("per_second", Row("png-both", 16), "tandem-both", ("base-both",), "1.5 or more"),
)
MEMORY_GOAL = "1.10 or less"


def create_target_table(measurements: Measurements, stack_memory: list[StackMemory]) -> Table:
    """Return the table that compares Tandem with its targets. Ratios that were not measured are left out.

    Args:
        measurements: of all contestants.
        stack_memory: of today's stack and then of the base's, or empty.
    """
    table = Table(title="Ratios of medians (least and largest ratio within a round), and targets")
    for column in ("", "row", "compared with", "measured", "target"):
        table.add_column(column)
    for target in TARGETS:
        opponent = find_best(measurements, target.row, target.opponents)
        ratio = compare(measurements, target.row, target.figure, target.contestant, opponent)
        if ratio and opponent:
            title = f"{target.contestant}, {FIGURES[target.figure]}"
            table.add_row(title, str(target.row), opponent, str(ratio), target.goal)
    if stack_memory:
        today, base = stack_memory
        for name, field in (("peak", "peak_mb"), ("PSS", "proportional_mb"), ("USS", "unique_mb")):
            own, other = getattr(today.total, field), getattr(base.total, field)
            measured = f"{own / other:.2f} ({own:,.0f} MB / {other:,.0f} MB)"
            table.add_row(
                f"gateway and predictors, {name} memory", "after the same load", "base", measured, MEMORY_GOAL
            )
    return table
