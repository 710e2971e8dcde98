"""What was measured, as one file of JSON, as tables and as a picture."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

RESULTS = Path(".tandem/bench/scale.json")
PICTURE = Path("docs/scale.svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito 2008
SLOWEST = 12  # addresses in the table
DRAWN = {
    "GET /v1/trainings": "/v1/trainings",
    "GET /v1/trainings?search=": "/v1/trainings?search= in vain",
    "GET /v1/models": "/v1/models",
    "GET /v1/status": "/v1/status",
    "GET /v2/models/stats": "/v2/models/stats",
}


class Results:
    """The figures so far. Every addition is stored at once, so an interrupted run loses nothing.

    Attributes:
        figures: topic -> size -> name -> figure. Sizes are texts, because JSON's keys are.
    """

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, dict[str, Any]]] = {}

    def add(self, topic: str, size: int, found: dict[str, Any]) -> None:
        """Store the figures of one topic at one size, and print that they are there."""
        self.figures.setdefault(topic, {}).setdefault(str(size), {}).update(found)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(self.figures, indent=1))
        print(f"{topic} at {size:,}", flush=True)

    def print(self) -> None:
        """Print a table of each topic: a row per figure and a column per size. Of the addresses, only the slowest."""
        for topic, by_size in self.figures.items():
            names = list(dict.fromkeys(name for found in by_size.values() for name in found))
            if topic.startswith("GET"):
                newest = list(by_size.values())[-1]
                names = sorted(newest, key=lambda name: -newest[name]["median_ms"])[:SLOWEST]
            table = Table(topic, *(f"{int(size):,}" for size in by_size))
            for name in names:
                table.add_row(name, *(_show(found.get(name)) for found in by_size.values()))
            Console(width=120).print(table)

    def draw(self, path: Path = PICTURE) -> None:
        """Draw how the time of some requests and the memory grow."""
        figure = Figure(figsize=(10, 4), layout="constrained")
        times, memory = figure.subplots(1, 2)
        routes = self.figures["GET, by trainings"]
        sizes = [int(size) for size in routes]
        for colour, (label, name) in zip(COLOURS, DRAWN.items(), strict=False):
            times.plot(sizes, [routes[str(size)][name]["median_ms"] for size in sizes], "o-", color=colour, label=label)
        alone = [self.figures["predictions"][str(size)]["median ms"] for size in sizes]
        times.plot(sizes, alone, "o-", color=COLOURS[-1], label="POST /v1/predictions")
        times.axhline(100, color="grey", linestyle=":")
        times.set(xscale="log", yscale="log", xlabel="trainings", ylabel="median ms", title="Time of a request")
        times.set_ylim(1, 1000)
        times.legend(fontsize="small", loc="upper left", ncols=2)
        largest = 0
        for colour, name in zip(COLOURS, ("gateway", "redis: used_memory", "pytorch.trainer"), strict=False):
            values = [self.figures["memory in MB"][str(size)].get(name, 0) for size in sizes]
            memory.plot(sizes, values, "o-", color=colour, label=name)
            largest = max(largest, *values)
        # The legend has the space above the lines.
        memory.set(xscale="log", ylim=(0, 1.4 * largest), xlabel="trainings", ylabel="MB", title="Memory")
        memory.legend(fontsize="small", loc="upper left")
        figure.savefig(path, metadata={"Date": None})


def _show(figure: Any) -> str:
    """Return a figure as text: of times the median, and in brackets the 99th percentile."""
    if figure is None:
        return ""
    if isinstance(figure, dict):
        return f"{figure['median_ms']:.1f} ({figure['p99_ms']:.1f})"
    return f"{figure:,.1f}"
