"""A trial: judge a training epoch by epoch, and end it early if it falls behind.

What is decided depends only on the figures of the epochs, in order, and never on how many epochs had been trained when
the search looked.
"""

import math
from collections.abc import Mapping
from typing import Any

from services.pipelines.search.proposals import Proposals
from shared.jobs.run_state import CANCELLED, FAILED, OPEN, SUCCEEDED
from shared.jobs.searches import PrunerNotes, SearchTrial, TrialBackend


class TrialJudge:
    """Judges the last trial of a search.

    Args:
        proposals: decides whether a trial is ended early.
        trials: all trials of the search; the last one is changed.
        notes: what the pruner remembers; changed.
    """

    def __init__(self, proposals: Proposals, trials: list[SearchTrial], notes: dict[str, PrunerNotes]) -> None:
        self._proposals, self._trials, self._notes = proposals, trials, notes
        self._trial = trials[-1]

    def judge(self, training: Any) -> bool:
        """Take a newer state of the trial's training. Return whether the trial has ended.

        Args:
            training: the body of `/v1/trainings/<id>`.
        """
        runs = training["runs"]
        while len(self._trial.steps) < min(len(run["history"]) for run in runs.values()):
            self._add_step(runs)
            if self._trial.status == "pruned":
                return True
        if training["status"] == SUCCEEDED:
            self._trial.status = "finished"
        elif error := _find_error(runs, len(self._trial.steps)):
            self.fail(error)
        return self._trial.status != "running"

    def fail(self, error: str) -> None:
        """Record that the trial cannot be trained."""
        self._trial.status, self._trial.value, self._trial.error = "failed", None, error

    def _add_step(self, runs: Mapping[str, Any]) -> None:
        """Take the figures of the next epoch, which every backend has finished."""
        index = len(self._trial.steps)
        epochs = {backend: run["history"][index] for backend, run in runs.items()}
        losses = [epoch["validation_loss"] for epoch in epochs.values()]
        self._trial.value = math.fsum(losses) / len(losses)
        self._trial.steps = [*self._trial.steps, self._trial.value]
        self._trial.backends = {
            backend: TrialBackend(
                validation_loss=epoch["validation_loss"],
                validation_accuracy=epoch["validation_accuracy"],
                epochs=index + 1,
            )
            for backend, epoch in epochs.items()
        }
        decision = self._proposals.decide(self._trials, self._notes)
        self._notes[str(self._trial.number)] = decision.notes
        if decision.is_pruned:
            self._trial.status = "pruned"


def _find_error(runs: Mapping[str, Any], steps: int) -> str | None:
    """Return why a trial has failed, or None if it goes on.

    A failure counts when every other backend has ended, or is past the epoch in which the first one failed. So it does
    not depend on timing which backend is named, and how many epochs count.
    """
    if any(run["status"] in OPEN and len(run["history"]) <= steps for run in runs.values()):
        return None
    ended = {backend: run for backend, run in runs.items() if run["status"] in (FAILED, CANCELLED)}
    last = [backend for backend, run in ended.items() if len(run["history"]) == steps]
    if not last:
        return None
    run = ended[last[0]]
    return f"{last[0]}: {run['error'] or 'its training was cancelled'}"
