"""Pictures of numbers, drawn by matplotlib without its global state: requests run side by side."""

import io
from math import ceil

from shared.dataset import Split

COLUMNS = 10
MAX_TITLE = 12


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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
