"""Draws figures with matplotlib and returns them as PNG files.

Requests run in several threads, so matplotlib's global state (pyplot) is not used. matplotlib takes half a second to
import; therefore each function imports it when it is first called.
"""

import io
import sys
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.data.datasets import Split
from shared.heap import loading
from shared.jobs.loadtests import LoadResult
from shared.jobs.results import Parity, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLES_PER_ROW = 10
MAX_CLASS_NAME = 12  # characters; longer names are cut
SAMPLE_INCHES = 1.1
ZERO_DRAWN_AT = 1e-18  # a logarithmic scale cannot show 0

# Okabe and Ito 2008, "Color Universal Design": colours that colour-blind readers can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = {"float64": "-", "float32": "--"}


def new_figure(**options: Any) -> "Figure":
    """Make an empty figure. The options are those of matplotlib's `Figure`."""
    if "matplotlib.figure" not in sys.modules:
        with loading():
            pass  # saving a figure would import it otherwise
    from matplotlib.figure import Figure

    return Figure(**options)


def certificate_png(verdict: Verdict | None, parities: dict[str, Parity]) -> bytes:
    """Draw the relative differences of logits, gradients and weights over the training steps, on a log scale.

    Args:
        verdict: the verdict of the whole certificate.
        parities: what was compared, such as "pytorch and NumPy", and its differences.

    Returns:
        A PNG file of three panels.
    """
    figure = new_figure(figsize=(12, 4.6), layout="constrained")
    panels = dict(zip(("logits", "gradients", "weights"), figure.subplots(1, 3, sharey=True), strict=True))
    for what, panel in panels.items():
        for colour, (title, parity) in zip(COLOURS * len(parities), parities.items(), strict=False):
            for precision, steps in parity.steps.items():
                differences = [(entry.step, getattr(entry, what)) for entry in steps]
                points = [(step, max(value, ZERO_DRAWN_AT)) for step, value in differences if value is not None]
                if points:
                    label = f"{title}, {precision}"
                    panel.plot(*zip(*points, strict=True), LINE_STYLES[precision], color=colour, label=label)
        panel.set(title=what, xlabel="training step", yscale="log")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels["logits"].set_ylabel("largest difference, relative (0 is drawn at 1e-18)")
    figure.legend(*panels["logits"].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    figure.suptitle(f"Parity: {verdict}")
    return encode_png(figure)


def colour_of(side: str, backends: list[str]) -> str:
    """Return the colour of a backend, the same in every figure.

    Args:
        side: a side of a load test. The second side of an A/A test is no backend and gets the next free colour.
        backends: all backends, in order.
    """
    return COLOURS[(backends.index(side) if side in backends else len(backends)) % len(COLOURS)]


@dataclass(frozen=True)
class _DrawnSide:
    """A side of a load test: its results with answered requests, and the one that is drawn in detail."""

    name: str
    colour: str
    results: list[LoadResult]
    detailed: LoadResult | None

    @property
    def detailed_label(self) -> str:
        if self.detailed and self.detailed.target_qps:
            return f"{self.name}, {self.detailed.target_qps:,.0f}/s"
        return self.name


def load_test_png(
    results: dict[str, list[LoadResult]],
    *,
    backends: list[str],
    claimed_qps: float | None,
    latency_bound_ms: float,
    title: str,
) -> bytes:
    """Draw latency by rate, the latency distribution, latency over time, and where the time was spent.

    Args:
        results: for each side its results, by rate.
        backends: all backends, in order; they decide the colours.
        claimed_qps: the rate whose distribution and time split are drawn; None means the highest measured rate.
        latency_bound_ms: the bound for the p99.
        title: of the figure.

    Returns:
        A PNG file of four panels.
    """
    sides = []
    for name, found in results.items():
        answered = [result for result in found if result.p50_ms is not None]
        candidates = [result for result in answered if claimed_qps in (None, result.target_qps)]
        sides.append(_DrawnSide(name, colour_of(name, backends), answered, candidates[-1] if candidates else None))
    figure = new_figure(figsize=(12, 9), layout="constrained")
    (by_rate, distribution), (over_time, split) = figure.subplots(2, 2)
    _draw_latency_by_rate(by_rate, sides, latency_bound_ms)
    _draw_distribution(distribution, sides)
    _draw_latency_over_time(over_time, sides)
    _draw_time_split(split, sides)
    for panel in (by_rate, distribution, split):
        panel.legend(fontsize=8)
    for panel in (by_rate, distribution, over_time, split):
        panel.grid(alpha=0.3)
    for axis in (by_rate.yaxis, over_time.yaxis, distribution.xaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
        axis.set_tick_params(which="both", labelsize=8)
    figure.suptitle(title)
    return encode_png(figure)


def _draw_latency_by_rate(panel: "Axes", sides: list[_DrawnSide], latency_bound_ms: float) -> None:
    for side in sides:
        rates = [result.target_qps or result.achieved_qps for result in side.results]
        for name, style in (("p50_ms", "o-"), ("p99_ms", "s--")):
            values = [getattr(result, name) for result in side.results]
            ends = [result.intervals.get(name, (getattr(result, name),) * 2) for result in side.results]
            # The interval of a bootstrap does not always contain its estimate.
            errors = [
                [max(value - low, 0) for value, (low, _) in zip(values, ends, strict=True)],
                [max(high - value, 0) for value, (_, high) in zip(values, ends, strict=True)],
            ]
            label = f"{side.name}, {name[:3]}"
            panel.errorbar(rates, values, errors, fmt=style, color=side.colour, capsize=3, label=label)
    panel.axhline(latency_bound_ms, color="grey", lw=1, ls=":", label="bound for the p99")
    panel.set(title="latency over rate, 95 % intervals", xlabel="requests/s", ylabel="ms", yscale="log")


def _draw_distribution(panel: "Axes", sides: list[_DrawnSide]) -> None:
    for side in sides:
        if side.detailed and (drawn := side.detailed.distribution):
            label = side.detailed_label
            panel.step(drawn["latency_ms"], drawn["levels"], where="post", color=side.colour, label=label)
    panel.set(title="distribution of latency", xlabel="ms", ylabel="fraction answered", xscale="log")


def _draw_latency_over_time(panel: "Axes", sides: list[_DrawnSide]) -> None:
    for side in sides:
        for result in side.results:
            times = [point["at_s"] for point in result.over_time]
            panel.plot(times, [point["p50_ms"] for point in result.over_time], "o", ms=3, color=side.colour)
            panel.plot(times, [point["max_ms"] for point in result.over_time], "x", ms=4, alpha=0.5, color=side.colour)
    panel.set(title="latency over time: o median, x largest of a second", xlabel="s", ylabel="ms", yscale="log")


def _draw_time_split(panel: "Axes", sides: list[_DrawnSide]) -> None:
    width = 0.8 / len(sides)
    for number, side in enumerate(sides):
        if side.detailed:
            parts = side.detailed.time_split_ms
            places = [place + number * width for place in range(len(parts))]
            panel.bar(places, list(parts.values()), width, color=side.colour, label=side.detailed_label)
            panel.set_xticks([place + 0.4 - width / 2 for place in range(len(parts))], list(parts))
    panel.set(title="where the time went, means", ylabel="ms")


def samples_png(split: Split, classes: tuple[str, ...]) -> bytes:
    """Draw images in a grid, each below the name of its class.

    All images are copied into one array before they are drawn: one plot per image would take seconds.

    Args:
        split: images, uint8 [N, H, W, C], and labels, int64 [N].
        classes: the name of each label.

    Returns:
        A PNG file.
    """
    columns, rows = min(SAMPLES_PER_ROW, len(split)), ceil(len(split) / SAMPLES_PER_ROW)
    height, width = split.images.shape[1:3]
    above, beside = height // 3 + 1, width // 6 + 1  # room for the class name, and between columns
    sheet = np.full((rows, above + height, columns, width + beside, 3), 255, np.uint8)
    figure = new_figure(figsize=(columns * SAMPLE_INCHES, rows * SAMPLE_INCHES * sheet.shape[1] / sheet.shape[3]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for place, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
        row, column = divmod(place, columns)
        sheet[row, above:, column, :width] = image
        name = classes[label]
        title = name if len(name) <= MAX_CLASS_NAME else f"{name[: MAX_CLASS_NAME - 1]}…"
        x, y = column * sheet.shape[3] + width / 2, row * sheet.shape[1] + above * 0.8
        axes.text(x, y, title, fontsize=9, ha="center", parse_math=False)  # a class may be called "$"
    axes.imshow(sheet.reshape(rows * sheet.shape[1], -1, 3), aspect="auto")
    return encode_png(figure)


def encode_png(figure: "Figure") -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
