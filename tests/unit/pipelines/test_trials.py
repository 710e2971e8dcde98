"""A trial is judged by the figures of its epochs, in order, and not by when the search looks."""

import itertools
from typing import Any

import pytest

from services.pipelines.search.proposals import Proposals
from services.pipelines.search.trials import TrialJudge
from shared.jobs.search_points import SearchPoints
from shared.jobs.search_space import SPACES
from shared.jobs.searches import PrunerNotes, SearchRequest, SearchTrial

EPOCHS = 5
GOOD = [0.5, 0.4, 0.3, 0.2, 0.1]
BAD = [2.0, 1.9, 1.8, 1.7, 1.6]
EARLIER = 5
POINTS = SearchPoints(SPACES["quick"], {})


def state(losses: dict[str, list[float]], statuses: dict[str, str], error: str | None = None) -> dict[str, Any]:
    """Return the body of a training. `losses` are the validation losses of the epochs of each backend."""
    runs = {
        backend: {
            "status": statuses[backend],
            "error": error if statuses[backend] == "failed" else None,
            "history": [{"validation_loss": loss, "validation_accuracy": 0.5} for loss in found],
        }
        for backend, found in losses.items()
    }
    is_open = any(status in ("queued", "running") for status in statuses.values())
    ended = "failed" if "failed" in statuses.values() else "succeeded"
    return {"status": "running" if is_open else ended, "runs": runs}


def states(losses: dict[str, list[float]], order: list[str], error: str | None = None) -> list[dict[str, Any]]:
    """Return the states of a training whose backends finish their epochs in some order."""
    counts = dict.fromkeys(losses, 0)
    found = []
    for backend in order:
        counts[backend] += 1
        statuses = dict.fromkeys(losses, "running")
        for name, values in losses.items():
            if counts[name] == len(values):
                statuses[name] = "succeeded" if len(values) == EPOCHS else "failed"
        found.append(state({name: values[: counts[name]] for name, values in losses.items()}, statuses, error))
    return found


class History:
    """The trials of a search so far, and what the pruner remembers about them."""

    def __init__(self) -> None:
        self.trials: list[SearchTrial] = []
        self.notes: dict[str, PrunerNotes] = {}

    def judge(self, seen: list[dict[str, Any]]) -> SearchTrial:
        """Add a trial: the search sees some states of its training."""
        number = len(self.trials) + 1
        self.trials.append(SearchTrial(number=number, parameters=POINTS.grid_point(number)))
        judge = TrialJudge(Proposals(SearchRequest(trials=9, epochs=EPOCHS), POINTS), self.trials, self.notes)
        any(judge.judge(each) for each in seen)
        return self.trials[-1]


def judge(seen: list[dict[str, Any]], earlier: int = 0) -> SearchTrial:
    """Return a trial after a search has seen some states of its training.

    Args:
        seen: the states.
        earlier: how many good trials there are before it.
    """
    history = History()
    for _ in range(earlier):
        history.judge(states({"one": GOOD}, ["one"] * EPOCHS))
    return history.judge(seen)


def test_a_finished_trial_has_the_mean_of_the_backends_losses() -> None:
    other = [loss + 0.1 for loss in GOOD]
    trial = judge(states({"one": GOOD, "two": other}, ["one", "two"] * EPOCHS))
    assert trial.status == "finished"
    assert trial.steps == pytest.approx([0.55, 0.45, 0.35, 0.25, 0.15])
    assert trial.value == trial.steps[-1]
    assert {backend: found.validation_loss for backend, found in trial.backends.items()} == {
        "one": 0.1,
        "two": other[-1],
    }


@pytest.mark.parametrize(
    "losses",
    [
        *({"one": GOOD, "two": BAD}, {"one": BAD, "two": BAD}, {"one": GOOD[:2], "two": GOOD}),
        *({"one": GOOD[:3], "two": GOOD[:2]}, {"one": GOOD[:2], "two": GOOD[:2]}),
    ],
)
def test_what_becomes_of_a_trial_does_not_depend_on_timing(losses: dict[str, list[float]]) -> None:
    """The search may see every epoch, or only some, in any order of the backends."""
    names = list(losses)
    one_after_the_other = [name for name in names for _ in losses[name]]
    orders = [
        one_after_the_other,
        one_after_the_other[::-1],
        [
            name
            for pair in itertools.zip_longest(*([name] * len(losses[name]) for name in names))
            for name in pair
            if name
        ],
    ]
    found = []
    for order in orders:
        seen = states(losses, order, error="the loss is not finite after epoch 3")
        found += [judge(part, EARLIER) for part in (seen, seen[-1:], seen[::2] + seen[-1:], seen[::3] + seen[-1:])]
    assert all(trial == found[0] for trial in found)
    assert found[0].status != "running"


def test_a_trial_that_falls_behind_is_pruned_with_the_figures_of_that_epoch() -> None:
    trial = judge(states({"one": BAD}, ["one"] * EPOCHS), EARLIER)
    assert trial.status == "pruned"
    assert len(trial.steps) == trial.backends["one"].epochs < EPOCHS
    assert trial.value == trial.steps[-1] == BAD[len(trial.steps) - 1]


def test_a_trial_that_diverges_is_recorded_as_failed() -> None:
    trial = judge(states({"one": GOOD[:2], "two": GOOD}, ["one", "two"] * 2 + ["two"] * 3, "the loss is not finite"))
    assert (trial.status, trial.value, trial.error) == ("failed", None, "one: the loss is not finite")
    assert trial.steps == GOOD[:2]
