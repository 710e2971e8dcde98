"""Draws the trials of a search: parallel coordinates, importance, progress, and the agreement of two backends."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from services.gateway.reports.plots import COLOURS, encode_png, new_figure
from shared.jobs.searches import BackendAgreement, SearchTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABEL = 18  # characters of a value beside an axis
LOG_FROM = 10  # an axis is logarithmic if its largest value is more than so many times its smallest
GREY = "#999999"


def search_png(
    trials: Sequence[SearchTrial],
    importance: dict[str, float] | None,
    agreement: Sequence[BackendAgreement],
    best: int | None,
) -> bytes:
    """Draw a search.

    Args:
        trials: all trials, in order.
        importance: share of each path.
        agreement: one entry for each pair of backends; the first pair is drawn.
        best: number of the best trial.

    Returns:
        A PNG file of four panels.
    """
    figure = new_figure(figsize=(12, 9), layout="constrained")
    panels = figure.subplot_mosaic(
        [["coordinates"] * 3, ["importance", "progress", "agreement"]], height_ratios=[1.2, 1]
    )
    _draw_coordinates(panels["coordinates"], trials, best)
    _draw_importance(panels["importance"], importance)
    _draw_progress(panels["progress"], trials)
    _draw_agreement(panels["agreement"], trials, agreement)
    return encode_png(figure)


def describe_value(value: JsonValue) -> str:
    """Return a short text for a parameter's value, such as `adam` for {"name": "adam"}."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        if "layers" in value:
            return "described network"
        names = [str(value[name]) for name in ("name", "family") if name in value]
        rest = [f"{name} {describe_value(part)}" for name, part in value.items() if name not in ("name", "family")]
        return ", ".join([*names, *rest])
    return str(value)


# Parallel coordinates ------------------------------------------------------


class _Axis:
    """One vertical axis of the parallel coordinates: the place of each value, from 0 to 1."""

    def __init__(self, title: str, values: list[JsonValue]) -> None:
        self.title = title
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        self._is_numeric = len(numbers) == len(values)
        if self._is_numeric:
            self._low, self._high = min(numbers), max(numbers)
            self._is_log = self._low > 0 and self._high > LOG_FROM * self._low
            middle = (self._low * self._high) ** 0.5 if self._is_log else (self._low + self._high) / 2
            few = sorted(set(numbers))
            self.ticks: list[JsonValue] = list(few if len(few) <= 6 else [self._low, middle, self._high])
        else:
            texts = {describe_value(value): value for value in values}
            self._texts = sorted(texts)
            self.ticks = [texts[text] for text in self._texts]

    def place_of(self, value: JsonValue) -> float:
        if not self._is_numeric:
            return (self._texts.index(describe_value(value)) + 0.5) / len(self._texts)
        assert isinstance(value, int | float)
        if self._high == self._low:
            return 0.5
        if self._is_log:
            return math.log(value / self._low) / math.log(self._high / self._low)
        return (value - self._low) / (self._high - self._low)


def _draw_coordinates(panel: "Axes", trials: Sequence[SearchTrial], best: int | None) -> None:
    """Draw a line for each trial over one axis per path. Finished trials are coloured by their rank."""
    drawn = [trial for trial in trials if trial.value is not None]
    paths = list(dict.fromkeys(path for trial in drawn for path in trial.parameters))
    axes = [_Axis(path, [trial.parameters[path] for trial in drawn if path in trial.parameters]) for path in paths]
    axes.append(_Axis("validation loss", [trial.value for trial in drawn]))
    ranked = sorted((trial for trial in drawn if trial.status == "finished"), key=lambda trial: trial.value or 0)
    for trial in sorted(drawn, key=lambda trial: (trial.status == "finished", -(trial.value or 0))):
        values = [*(trial.parameters.get(path) for path in paths), trial.value]
        has_value = [*(path in trial.parameters for path in paths), True]
        places = [
            axis.place_of(value) if has else -0.12 for axis, value, has in zip(axes, values, has_value, strict=True)
        ]
        if trial.status == "finished":
            shade = ranked.index(trial) / max(len(ranked) - 1, 1)
            colour, width = (COLOURS[1], 3.0) if trial.number == best else (_blend(shade), 1.6)
            panel.plot(places, color=colour, lw=width, alpha=0.9)
        else:
            panel.plot(places, color=GREY, lw=0.8, ls=":")
    box = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.5}
    for index, axis in enumerate(axes):
        panel.axvline(index, color="#333333", lw=0.8)
        for tick in axis.ticks:
            text = describe_value(tick)
            text = text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
            panel.text(index + 0.03, axis.place_of(tick), text, fontsize=8, va="center", parse_math=False, bbox=box)
    panel.set_xticks(range(len(axes)), [_shorten(axis.title) for axis in axes], fontsize=9)
    panel.set_yticks([])
    panel.set_xlim(-0.1, len(axes) - 1 + 0.5)
    for side in ("left", "right", "top", "bottom"):
        panel.spines[side].set_visible(False)
    panel.set_title("trials: best orange, finished dark (good) to light (bad), pruned dotted; below an axis: no value")


def _blend(shade: float) -> tuple[float, float, float]:
    """Return a blue: dark for 0, light for 1."""
    return 0.75 * shade, 0.35 + 0.45 * shade, 0.6 + 0.3 * shade


def _shorten(path: str) -> str:
    return path.replace(".", "\n", 1) if len(path) > 12 else path


# The other panels ----------------------------------------------------------


def _draw_importance(panel: "Axes", importance: dict[str, float] | None) -> None:
    shares = sorted((importance or {}).items(), key=lambda item: item[1])[-12:]
    panel.barh([path for path, _ in shares], [share for _, share in shares], color=COLOURS[0])
    panel.set(title="importance of each parameter", xlabel="share", xlim=(0, 1))
    panel.tick_params(axis="y", labelsize=8)
    if not shares:
        panel.text(0.5, 0.5, "needs 4 finished trials", ha="center", transform=panel.transAxes)
        panel.set_yticks([])


def _draw_progress(panel: "Axes", trials: Sequence[SearchTrial]) -> None:
    """Draw the smallest value so far over the epochs spent."""
    spent, best, points, steps = 0, math.inf, [], []
    for trial in trials:
        spent += len(trial.steps)
        if trial.status == "finished" and trial.value is not None:
            best = min(best, trial.value)
            points.append((spent, trial.value))
            steps.append((spent, best))
    if steps:
        steps.append((spent, best))
        panel.plot(*zip(*points, strict=True), "o", ms=4, color=GREY, label="finished trial")
        panel.step(*zip(*steps, strict=True), where="post", color=COLOURS[0], label="best so far")
        panel.legend(fontsize=8)
    panel.set(title="best result by epochs spent", xlabel="epochs of all trials", ylabel="validation loss")
    panel.grid(alpha=0.3)


def _draw_agreement(panel: "Axes", trials: Sequence[SearchTrial], agreement: Sequence[BackendAgreement]) -> None:
    """Draw each finished trial's loss in one backend over its loss in another."""
    finished = [trial for trial in trials if trial.status == "finished"]
    panel.set_title("do the backends agree?")
    if not agreement or not finished:
        panel.text(0.5, 0.5, "needs two backends", ha="center", transform=panel.transAxes)
        return
    first, second = agreement[0].backends
    x = [trial.backends[first].validation_loss for trial in finished]
    y = [trial.backends[second].validation_loss for trial in finished]
    ends = [min(*x, *y), max(*x, *y)]
    panel.plot(ends, ends, color=GREY, lw=0.8)
    panel.plot(x, y, "o", ms=5, color=COLOURS[0])
    panel.set(xlabel=f"validation loss, {first}", ylabel=f"validation loss, {second}")
    panel.grid(alpha=0.3)
