"""Pictures of numbers, drawn by matplotlib without its global state: requests run side by side."""

import io
from math import ceil
from typing import Any

import numpy as np

from shared.data.datasets import Split

COLUMNS = 10
MAX_TITLE = 12
TILE_INCHES = 1.1
NOTHING = 1e-18  # where a logarithmic scale shows a zero


# Okabe and Ito 2008: told apart also by those who see fewer colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = {"float64": "-", "float32": "--"}


def certificate_png(certificate: dict[str, Any]) -> bytes:
    """Relative differences over steps, log scale: logits, gradients, weights; a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    compared = [(" and ".join(pair["backends"]), pair) for pair in certificate["comparisons"]]
    compared += [(f"{backend} and NumPy", run["reference"]) for backend, run in certificate["runs"].items()]
    panels = dict(zip(("logits", "gradients", "weights"), figure.subplots(1, 3, sharey=True), strict=True))
    for what, panel in panels.items():
        for colour, (title, parity) in zip(COLOURS * len(compared), compared, strict=False):
            for precision, steps in parity["steps"].items():
                points = [(entry["step"], max(entry[what], NOTHING)) for entry in steps if entry[what] is not None]
                if points:
                    panel.plot(
                        *zip(*points, strict=True), STYLES[precision], color=colour, label=f"{title}, {precision}"
                    )
        panel.set(title=what, xlabel="training step", yscale="log")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels["logits"].set_ylabel("largest difference, relative (0 is drawn at 1e-18)")
    figure.legend(*panels["logits"].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    figure.suptitle(f"Parity: {certificate['verdict']}")
    return _png(figure)


def colour_of(side: str, backends: list[str]) -> str:
    """A backend's colour, the same in every picture; the second side of an A/A test has the next free one."""
    return COLOURS[(backends.index(side) if side in backends else len(backends)) % len(COLOURS)]


def load_test_png(test: dict[str, Any]) -> bytes:
    """Latency over rate, its distribution, over time, and where the time went; a PNG file.

    Drawn of a load test's JSON alone. The distribution and the time split are those at the rate of the
    claim, or of the highest that was measured.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), layout="constrained")
    (over_rate, distribution), (over_time, split) = figure.subplots(2, 2)
    rate = next((pair["target_qps"] for pair in test["comparisons"]), None)
    width = 0.8 / len(test["results"])
    for number, (side, entries) in enumerate(test["results"].items()):
        colour = colour_of(side, test["conditions"]["backends"])
        answered = [entry for entry in entries if entry["p50_ms"] is not None]
        for name, style in (("p50_ms", "o-"), ("p99_ms", "s--")):
            rates = [entry["target_qps"] or entry["achieved_qps"] for entry in answered]
            values = [entry[name] for entry in answered]
            ends = [entry["intervals"].get(name, [entry[name]] * 2) for entry in answered]
            # A bootstrap's interval need not hold its own estimate.
            errors = [
                [max(v - low, 0) for v, (low, _) in zip(values, ends, strict=True)],
                [max(high - v, 0) for v, (_, high) in zip(values, ends, strict=True)],
            ]
            over_rate.errorbar(rates, values, errors, fmt=style, color=colour, capsize=3, label=f"{side}, {name[:3]}")
        for entry in answered:
            points = entry["over_time"]
            times = [point["at_s"] for point in points]
            over_time.plot(times, [point["p50_ms"] for point in points], "o", ms=3, color=colour)
            over_time.plot(times, [point["max_ms"] for point in points], "x", ms=4, alpha=0.5, color=colour)
        if chosen := next((e for e in reversed(answered) if rate in (None, e["target_qps"])), None):
            drawn = chosen["distribution"]
            distribution.step(drawn["latency_ms"], drawn["levels"], where="post", color=colour, label=_at(side, chosen))
            places = [place + number * width for place in range(len(chosen["time_split_ms"]))]
            split.bar(places, chosen["time_split_ms"].values(), width, color=colour, label=_at(side, chosen))
            split.set_xticks([place + 0.4 - width / 2 for place in range(len(places))], chosen["time_split_ms"])
    over_rate.axhline(test["request"]["latency_bound_ms"], color="grey", lw=1, ls=":", label="bound for the p99")
    over_rate.set(title="latency over rate, 95 % intervals", xlabel="requests/s", ylabel="ms", yscale="log")
    distribution.set(title="distribution of latency", xlabel="ms", ylabel="fraction answered", xscale="log")
    over_time.set(title="latency over time: o median, x largest of a second", xlabel="s", ylabel="ms", yscale="log")
    split.set(title="where the time went, means", ylabel="ms")
    for panel in (over_rate, distribution, split):
        panel.legend(fontsize=8)
    for panel in (over_rate, distribution, over_time, split):
        panel.grid(alpha=0.3)
    for axis in (over_rate.yaxis, over_time.yaxis, distribution.xaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
        axis.set_tick_params(which="both", labelsize=8)
    figure.suptitle(f"{test['model']} version {test['version']}, {test['request']['scenario']}. {test['note']}")
    return _png(figure)


def _at(side: str, entry: dict[str, Any]) -> str:
    return f"{side}, {entry['target_qps']:,.0f}/s" if entry["target_qps"] else side


def samples_png(split: Split, classes: tuple[str, ...]) -> bytes:
    """Pictures uint8 [N, H, W, C] in a grid, each under its class, as a PNG file.

    The pictures are one array before they are drawn: a plot of its own for each takes seconds.
    """
    from matplotlib.figure import Figure  # half a second to import, paid by the first figure

    columns, rows = min(COLUMNS, len(split)), ceil(len(split) / COLUMNS)
    height, width = split.images.shape[1:3]
    above, beside = height // 3 + 1, width // 6 + 1  # room for the class, and between columns
    sheet = np.full((rows, above + height, columns, width + beside, 3), 255, np.uint8)
    figure = Figure(figsize=(columns * TILE_INCHES, rows * TILE_INCHES * sheet.shape[1] / sheet.shape[3]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for place, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
        row, column = divmod(place, columns)
        sheet[row, above:, column, :width] = image
        name = classes[label]
        title = name if len(name) <= MAX_TITLE else f"{name[: MAX_TITLE - 1]}…"
        x, y = column * sheet.shape[3] + width / 2, row * sheet.shape[1] + above * 0.8
        axes.text(x, y, title, fontsize=9, ha="center", parse_math=False)  # a class may be called "$"
    axes.imshow(sheet.reshape(rows * sheet.shape[1], -1, 3), aspect="auto")
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
