"""Reduces a job of any kind to tracks: one per run, with how much of it is done and its newest figures."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from .epoch_figures import choose_figures
from .jobs_api import FINAL
from .output import percent
from .trials import describe_trial

NAME_COLUMNS = 10  # of a gate in a narrow terminal


@dataclass(frozen=True)
class Track:
    """The progress of one run.

    Attributes:
        name: the backend, or the kind of the job if it has one run.
        status: the run's status.
        done: how many of `total` steps are finished.
        total: how many steps there are.
        unit: what is counted, such as `epoch`.
        figures: the newest figures as text; empty if there are none.
        short_figures: the same for a narrow terminal.
        left_s: the estimated time until the end, in seconds; None if it is not known.
        lines: one text per finished step, for output in lines. Empty if the job does not report them.
    """

    name: str
    status: str
    done: int = 0
    total: int = 1
    unit: str = ""
    figures: str = ""
    short_figures: str = ""
    left_s: float | None = None
    lines: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.status in FINAL


def read_tracks(kind: str, job: Any) -> list[Track]:
    """Return the tracks of a job.

    Args:
        kind: the first part of the job's path, such as `trainings`.
        job: the job's JSON.
    """
    of_kind: dict[str, Callable[[Any], list[Track]]] = {
        "trainings": lambda job: [_training_track(backend, run) for backend, run in job["runs"].items()],
        "evaluations": lambda job: [_result_track(backend, run) for backend, run in job["results"].items()],
        "certificates": _certificate_tracks,
        "loadtests": lambda job: [_load_test_track(job)],
        "exports": lambda job: [_export_track(job)],
        "searches": lambda job: [_search_track(job)],
        "releases": lambda job: [_release_track(job)],
    }
    read = of_kind.get(kind)
    return read(job) if read else [_single_track(kind.removesuffix("s"), job["status"])]


def _single_track(name: str, status: str) -> Track:
    return Track(name, status, done=int(status == "succeeded"))


def _export_track(job: Any) -> Track:
    progress = job.get("progress")  # a server from before it was reported has none
    if not progress:
        return _single_track(job["backend"], job["status"])
    return Track(job["backend"], job["status"], progress["done"], progress["of"], "picture")


def _training_track(backend: str, run: Any) -> Track:
    history = run["history"]
    lines = tuple(_describe_epoch(epoch, run["epochs"]) for epoch in history)
    last = history[-1] if history else None
    accuracy = choose_figures(last).accuracy if last else None
    return Track(
        backend,
        run["status"],
        run["epoch"],
        run["epochs"],
        "epoch",
        f"loss {last['loss']:.4f}  accuracy {percent(accuracy)}" if last else "",
        percent(accuracy, 1) if last else "",
        median(epoch["seconds"] for epoch in history) * (run["epochs"] - run["epoch"]) if history else None,
        lines,
    )


def _describe_epoch(epoch: Any, epochs: int) -> str:
    """Return an epoch's figures on the training split, and on the split that was kept apart, if there was one."""
    kept = choose_figures(epoch)
    text = f"epoch {epoch['epoch']} of {epochs}: loss {epoch['loss']:.4f}, accuracy {percent(epoch['accuracy'])}"
    return text if kept.split == "training" else f"{text}, {kept.split} accuracy {percent(kept.accuracy)}"


def _result_track(backend: str, run: Any) -> Track:
    track = _single_track(backend, run["status"])
    if run.get("accuracy") is None:
        return track
    return Track(backend, run["status"], 1, 1, "", f"accuracy {percent(run['accuracy'])}", percent(run["accuracy"], 1))


def _certificate_tracks(job: Any) -> list[Track]:
    steps = job["request"]["steps"]
    return [_certificate_track(backend, run, steps) for backend, run in job["runs"].items()]


def _certificate_track(backend: str, run: Any, steps: int) -> Track:
    """Return the track of a certificate. It takes its steps in double and then in single precision."""
    first = 0 if run["precision"] in (None, "float64") else steps
    done = 2 * steps if run["status"] == "succeeded" else first + run["step"]
    precision = run["precision"] or ""
    return Track(backend, run["status"], done, 2 * steps, "step", precision, precision.removeprefix("float"))


def _load_test_track(job: Any) -> Track:
    progress = job["progress"]
    if not progress:
        return Track("load test", job["status"])
    done, total = progress["done"], max(progress["of"], progress["done"], 1)
    if job["status"] == "succeeded":
        done = total
    return Track("load test", job["status"], done, total, "block", progress["doing"])


def _search_track(job: Any) -> Track:
    """Return the track of a search: a step is a trial that has ended."""
    progress, best = job["progress"] or {"trials_done": 0, "trials": 1}, job["best"]
    loss = f"best loss {job['trials'][best - 1]['value']:.4f}" if best else ""
    return Track(
        "search",
        job["status"],
        progress["trials_done"],
        max(progress["trials"], 1),
        "trial",
        loss,
        loss.removeprefix("best loss "),
        lines=tuple(describe_trial(trial) for trial in job["trials"] if trial["status"] != "running"),
    )


def _release_track(job: Any) -> Track:
    """Return the track of a release: a step is a gate that was checked."""
    checked = [gate for gate in job["gates"] if gate["status"] in ("passed", "failed")]
    asked = [gate for gate in job["gates"] if gate["status"] != "skipped"]
    running = next((gate["gate"] for gate in asked if gate["status"] == "running"), "")
    lines = tuple(f"gate {gate['gate']} {gate['status']}: {gate['summary']}" for gate in checked)
    return Track(
        "release", job["status"], len(checked), max(len(asked), 1), "gate", running, running[:NAME_COLUMNS], lines=lines
    )
