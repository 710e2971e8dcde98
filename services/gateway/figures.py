"""Pictures of numbers, drawn by matplotlib without its global state: requests run side by side."""

import io
from math import ceil
from typing import Any

from shared.dataset import Split

COLUMNS = 10
MAX_TITLE = 12
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


def samples_png(split: Split, classes: tuple[str, ...]) -> bytes:
    """Pictures uint8 [N, H, W, C] in a grid, each under its class, as a PNG file."""
    from matplotlib.figure import Figure  # half a second to import, paid by the first figure

    columns, rows = min(COLUMNS, len(split)), ceil(len(split) / COLUMNS)
    figure = Figure(figsize=(columns * 1.1, rows * 1.35), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in axes:
        place.set_axis_off()
    for place, image, label in zip(axes, split.images, split.labels, strict=False):
        grey = image.shape[-1] == 1
        place.imshow(image[..., 0] if grey else image, cmap="gray" if grey else None, vmin=0, vmax=255)
        name = classes[label]
        title = name if len(name) <= MAX_TITLE else f"{name[: MAX_TITLE - 1]}…"
        place.set_title(title, fontsize=9, parse_math=False)  # a class may be called "$"
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
