"""A search whose processes are killed again and again proposes and finds the same as one that is left alone."""

import itertools
import signal
from functools import partial
from typing import Any

from tests.faults.answers import ask
from tests.faults.experiment import Experiment, Fault
from tests.faults.ledger import FINAL
from tests.faults.process_control import kill
from tests.faults.waiting import wait

PATIENCE_S = 600
# What has to be the same: everything but ids and versions.
TRIAL_FIELDS = ("number", "parameters", "status", "value", "steps", "backends", "error")


def kill_during_a_search(trials: int, epochs: int, kills: int, experiment: Experiment) -> None:
    """Run a search twice: undisturbed, then with kills that are spread over it. Compare the two.

    Args:
        trials: of each search.
        epochs: of each trial.
        kills: how many times a trainer, the pipelines or Redis is killed.
        experiment: the fault's experiment.
    """
    request = {"dataset": "digits", "trials": trials, "epochs": epochs, "name": "search-faults"}
    undisturbed = _wait_final(experiment, experiment.submit("searches", request))
    experiment.require(undisturbed["status"] == "succeeded", f"the undisturbed search: {undisturbed['error']}")
    steps = _progress_of(undisturbed)
    path = experiment.submit("searches", request)
    killed: list[str] = []
    for number, name in zip(range(kills), itertools.cycle(_victims(experiment)), strict=False):
        threshold = number * steps // kills
        wait(
            partial(_has_come_to, experiment, path, threshold),
            message=f"the search did not come to step {threshold} of {steps}",
            timeout_s=PATIENCE_S,
        )
        killed += [name] * _kill(experiment, name)
    disturbed = _wait_final(experiment, path)
    experiment.require(disturbed["status"] == "succeeded", f"the disturbed search: {disturbed['error']}")
    experiment.require(len(killed) == kills, f"only {len(killed)} of {kills} kills met a process")
    for field in ("best", "importance", "agreement"):
        experiment.require(undisturbed[field] == disturbed[field], f"{field} differs")
    for one, other in zip(undisturbed["trials"], disturbed["trials"], strict=True):
        different = [field for field in TRIAL_FIELDS if one[field] != other[field]]
        experiment.require(not different, f"trial {one['number']}: {', '.join(different)} differ: {one} and {other}")
    for field in ("test_accuracy", "test_loss"):
        experiment.require(undisturbed["winner"][field] == disturbed["winner"][field], f"the winner's {field} differs")
    counts = ", ".join(f"{killed.count(name)} {name}" for name in dict.fromkeys(killed))
    experiment.notes.append(f"{trials} trials, the same under {len(killed)} kills: {counts}")


def _victims(experiment: Experiment) -> list[str]:
    """Return what is killed, in turn."""
    backends = experiment.target.settings.backends
    return [
        "pipelines' horse",
        "redis",
        f"{backends[-1]} trainer",
        "pipelines",
        *(f"{name} horse" for name in backends),
    ]


def _kill(experiment: Experiment, name: str) -> bool:
    """Kill a process, as soon as there is one. Return whether one was killed."""
    target = experiment.target

    def find() -> list[int]:
        owner, _, part = name.rpartition(" ")
        if name == "redis":
            pid = target.find_redis()
            return [pid] if pid else []
        if owner.startswith("pipelines") or name == "pipelines":
            return target.find_pipelines()[1:] if part == "horse" else target.find_pipelines()
        return target.find_work_horses(owner) if part == "horse" else target.find_trainers(owner)

    pids = wait(find, message=f"there was no {name} to kill", timeout_s=PATIENCE_S, every_s=0.01)
    kill(pids, signal.SIGKILL)
    return bool(pids)


def _progress_of(search: Any) -> int:
    """Return how many steps a search has made: epochs that counted, and trials that ended."""
    progress = search["progress"]
    return int(progress["epochs_spent"] + progress["trials_done"]) if progress else 0


def _has_come_to(experiment: Experiment, path: str, threshold: int) -> bool:
    answer = ask(experiment.target.url, "GET", path, timeout_s=5)
    return answer.status == 200 and _progress_of(answer.json()) >= threshold


def _wait_final(experiment: Experiment, path: str) -> Any:
    def read_ended() -> Any:
        answer = ask(experiment.target.url, "GET", path, timeout_s=5)
        return answer.json() if answer.status == 200 and answer.json()["status"] in FINAL else None

    return wait(read_ended, message=f"{path} did not end", timeout_s=PATIENCE_S, every_s=0.2)


FAULTS = [
    Fault(
        "search-killed",
        "search",
        "4 SIGKILLs spread over a search of 5 trials",
        partial(kill_during_a_search, 5, 3, 4),
        is_short=True,
        has_trainings=False,
    ),
    Fault(
        "search-killed-often",
        "search",
        "20 SIGKILLs spread over a search of 20 trials",
        partial(kill_during_a_search, 20, 5, 20),
        has_trainings=False,
    ),
]
