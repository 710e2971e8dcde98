"""Shows a job while it runs: one bar per run in a terminal, else one line per step."""

import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from .errors import EXIT_INTERRUPTED
from .job_options import JobDisplay
from .jobs_api import CANCELLABLE, quote_part
from .output import NARROW_COLUMNS, clean, duration
from .target import Target
from .tracks import Track, read_tracks

if TYPE_CHECKING:
    from rich.progress import TaskID

STEP_KINDS = ("searches", "releases")  # their steps are shown below the bar: trials, or gates
NEWEST_STEPS = 12


def follow_job(target: Target, kind: str, identity: str, display: JobDisplay) -> Any:
    """Show a job until it has ended, and return its last state, whether it succeeded or not.

    With `--json`, bars are shown on the error output if that is a terminal.

    Args:
        target: the server.
        kind: the first part of the job's path, such as `trainings`.
        identity: the job's id.
        display: how it is shown.

    Raises:
        ClientError: the server does not answer.
        click.exceptions.Exit: the user pressed Ctrl+C. The job goes on.
    """
    job: Any = None
    try:
        with _choose_display(kind, display) as show:
            for job in target.client.watch(f"/v1/{kind}/{quote_part(identity)}"):
                show(job)
    except KeyboardInterrupt:
        advice = f" Cancel it: tandem cancel {kind}/{clean(identity)}" if kind in CANCELLABLE else ""
        follow = f"Watch it again: tandem follow {kind}/{clean(identity)}"
        click.echo(f"\nYou no longer watch the job. It goes on.{advice}\n{follow}", err=True)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    return job


def _choose_display(kind: str, display: JobDisplay) -> "_Lines | _Bars | _Nothing":
    stream = sys.stderr if display.is_json else sys.stdout
    if stream.isatty() and not display.is_plain:
        from rich.console import Console

        console = Console(file=stream, markup=False, highlight=False, emoji=False)
        if not console.is_dumb_terminal:
            return _Bars(kind, console)
    return _Nothing() if display.is_json else _Lines(kind)


class _Nothing:
    """Shows nothing."""

    def __enter__(self) -> Callable[[Any], None]:
        return lambda _: None

    def __exit__(self, *_: object) -> None:
        pass


class _Lines:
    """Prints one line for each step that a run has finished, and for its end."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._printed: dict[str, Track] = {}

    def __enter__(self) -> Callable[[Any], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        pass

    def _show(self, job: Any) -> None:
        for track in read_tracks(self._kind, job):
            before = self._printed.get(track.name)
            is_new = before is None or before.status != track.status
            if is_new and not track.is_final:
                self._print(track, track.status)
            for line in track.lines[len(before.lines) if before else 0 :]:
                self._print(track, line)
            if not track.lines and track.unit and _tenth(track) > (_tenth(before) if before else 0):
                self._print(track, f"{track.unit} {track.done} of {track.total} {track.figures}".rstrip())
            if is_new and track.is_final:
                self._print(track, track.status)
            self._printed[track.name] = track

    @staticmethod
    def _print(track: Track, text: str) -> None:
        click.echo(f"{clean(track.name)}: {clean(text)}")
        sys.stdout.flush()


def _tenth(track: Track) -> int:
    """Return how many tenths of a run are done."""
    return 10 * track.done // track.total


class _Bars:
    """Shows one bar per run, and the newest trials or gates, which are updated in place."""

    def __init__(self, kind: str, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.text import Text

        class ProgressWithSteps(Progress):
            """Bars, and below them one line for each of the newest steps."""

            def get_renderables(self) -> Iterable[Any]:
                yield from super().get_renderables()
                if steps:
                    yield Text("\n".join(steps), no_wrap=True, overflow="ellipsis")

        self._kind = kind
        self._steps = steps = list[str]()
        self._is_narrow = console.width < NARROW_COLUMNS
        columns = [TextColumn("{task.description}", markup=False)]
        columns += [BarColumn(bar_width=8 if self._is_narrow else 24)]  # type: ignore[list-item]
        columns += [TextColumn(f"{{task.fields[{field}]}}", markup=False) for field in ("count", "figures", "left")]
        self._progress = ProgressWithSteps(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Callable[[Any], None]:
        self._progress.__enter__()
        return self._show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    def _show(self, job: Any) -> None:
        for track in read_tracks(self._kind, job):
            if self._kind in STEP_KINDS:
                self._steps[:] = [f"  {clean(line)}" for line in track.lines[-NEWEST_STEPS:]]
            if track.name not in self._tasks:
                name = clean(track.name)
                label = name[:10] if self._is_narrow else f"{name:<12}"
                self._tasks[track.name] = self._progress.add_task(label, count="", figures="", left="")
            self._progress.update(
                self._tasks[track.name],
                total=track.total,
                completed=track.done,
                count=f"{track.done}/{track.total}" if track.unit else "",
                figures=clean(track.short_figures if self._is_narrow else track.figures),
                left=_describe_rest(track, self._is_narrow),
            )


def _describe_rest(track: Track, is_narrow: bool) -> str:
    """Return the time left, or the status of a run that does not run."""
    if track.status == "succeeded":
        return "" if is_narrow else "done"
    if track.status != "running" or track.left_s is None:
        return track.status
    return duration(track.left_s) if is_narrow else f"{duration(track.left_s)} left"
