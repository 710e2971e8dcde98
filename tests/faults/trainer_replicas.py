"""Several trainers per backend share trainings while random trainers are killed: each model is published exactly once.

    .venv/test/bin/python -m tests.faults.trainer_replicas [--trainers 3] [--jobs 60] [--kills 20] [--epochs 20]
        [--seed 0]

This starts a stack of its own, and needs about 0.5 GB of memory per trainer. The exit status is 1 if a training did not
succeed, or was not published exactly once, or if fewer processes were killed than asked for.
`tests/stack/test_replicas.py` runs a short version.
"""

import argparse
import random
import signal
import sys
import time
from dataclasses import dataclass, field

from services.cli.client import Client
from services.stack.stack import Stack
from shared.models.registry import ModelRegistry
from tests.faults.process_control import exit_on_sigterm, kill, parent_of
from tests.faults.waiting import wait
from tests.running_stack import running_suite_stack
from tests.stack.processes import find_processes

NAME = "shared-out"
TRAINING = {"network": "mlp", "dataset": "digits", "batch_size": 8, "name": NAME}
TIMEOUT_S = 3600


@dataclass
class Outcome:
    """What became of the trainings.

    Attributes:
        succeeded: how many trainings succeeded in every backend.
        kills: how many times a trainer, its work horse or both were killed.
        trainers_used: backend -> how many trainers worked at the same time, as far as `/v1/status` showed it. It lists
            a trainer that was killed until another one gives its work away.
        resumed: how many runs went on from a checkpoint.
        faults: what is not as it must be. Empty if each training was published exactly once, and all kills took place.
        duration_s: from the first submission to the end of the last training.
    """

    succeeded: int = 0
    kills: int = 0
    trainers_used: dict[str, int] = field(default_factory=dict)
    resumed: int = 0
    faults: list[str] = field(default_factory=list)
    duration_s: float = 0.0


def share_out(stack: Stack, jobs: int, kills: int, seed: int, epochs: int = 20) -> Outcome:
    """Submit trainings, kill random trainers meanwhile, and check what was published.

    The kills are spread evenly over the runs that end, so that no run is killed more often than it may be started.

    Args:
        stack: a running stack with several trainers per backend.
        jobs: how many trainings, each of every backend.
        kills: how often to kill a trainer, its work horse or both.
        seed: decides which ones, and when.
        epochs: of each training.
    """
    client, outcome, choices, started_s = Client(stack.url), Outcome(), random.Random(seed), time.monotonic()
    request = {**TRAINING, "epochs": epochs}
    identities = [client.post("/v1/trainings", {**request, "seed": number})["id"] for number in range(jobs)]
    outcome.trainers_used = dict.fromkeys(stack.settings.backends, 0)
    runs = jobs * len(stack.settings.backends)

    def has_ended() -> bool:
        unfinished = _count_unfinished(client, outcome)
        is_due = runs - unfinished >= runs * outcome.kills / (kills + 1)
        if unfinished and outcome.kills < kills and is_due:
            time.sleep(choices.random())
            outcome.kills += _kill_one(stack, choices, outcome.kills)
        return unfinished == 0

    wait(has_ended, message="trainings did not end", timeout_s=TIMEOUT_S, every_s=0.2)
    outcome.duration_s = time.monotonic() - started_s
    if outcome.kills < kills:
        outcome.faults.append(f"only {outcome.kills} of {kills} kills were possible: add trainings or epochs")
    _check(stack, client, identities, epochs, outcome)
    return outcome


def _count_unfinished(client: Client, outcome: Outcome) -> int:
    """Return how many runs have not ended, and note how many trainers work at the same time."""
    backends = client.get("/v1/status")["backends"]
    for backend, most in outcome.trainers_used.items():
        busy = sum(trainer["running"] is not None for trainer in backends[backend]["trainers"])
        outcome.trainers_used[backend] = max(most, busy)
    return sum(backends[backend]["unfinished"] for backend in outcome.trainers_used)


def _kill_one(stack: Stack, choices: random.Random, number: int) -> bool:
    """Kill a random work horse, its trainer's parent process, or both, in turn.

    A work horse whose parent is killed must not go on beside the one that continues its run.

    Args:
        stack: the running stack.
        choices: choose the backend and the work horse.
        number: of this kill; decides what is killed.

    Returns:
        Whether there was a work horse.
    """
    backend = choices.choice(stack.settings.backends)
    pids = find_processes(stack.settings, f"services.{backend}.trainer")
    horses = [(pid, parent) for pid in pids if (parent := parent_of(pid)) in pids]
    if not horses:
        return False
    horse, parent = choices.choice(horses)
    victims = ([horse], [parent, horse], [parent])
    kill(victims[number % len(victims)], signal.SIGKILL)
    return True


def _check(stack: Stack, client: Client, identities: list[str], epochs: int, outcome: Outcome) -> None:
    """Count successes, and compare the model volume with the trainings."""
    registry = ModelRegistry(stack.settings.model_dir)
    versions: dict[int, str] = {}
    for identity in identities:
        training = client.get(f"/v1/trainings/{identity}")
        outcome.succeeded += training["status"] == "succeeded"
        outcome.resumed += sum(run.get("resumed_after") is not None for run in training["runs"].values())
        if training["status"] != "succeeded":
            errors = [run["error"] for run in training["runs"].values()]
            outcome.faults.append(f"training {identity} has {training['status']}: {errors}")
        elif any(len(run["history"]) != epochs for run in training["runs"].values()):
            outcome.faults.append(f"training {identity} has epochs that are missing or occur twice")
        if training["version"] in versions:
            outcome.faults.append(f"version {training['version']} was given twice")
        versions[training["version"]] = identity
    for backend in stack.settings.backends:
        found = registry.versions(NAME, backend)
        if found != sorted(versions):
            outcome.faults.append(f"{backend} has the versions {found}, and not {sorted(versions)}")
        for version in set(found) & set(versions):
            writer = registry.verify(NAME, backend, version).manifest.writer
            if writer != versions[version]:
                outcome.faults.append(f"version {version} of {backend} was published by another training")
        leftovers = [path.name for path in (registry.root / NAME / backend).glob(".tmp-*")]
        outcome.faults += [] if len(leftovers) <= outcome.kills else [f"{len(leftovers)} drafts were left behind"]


def main(arguments: list[str]) -> int:
    """Run what the command line asks for, print the figures, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.trainer_replicas", description=__doc__)
    parser.add_argument("--trainers", type=int, default=3, help="per backend")
    parser.add_argument("--jobs", type=int, default=60, help="trainings, each of every backend")
    parser.add_argument("--kills", type=int, default=20, help="how often a process is killed")
    parser.add_argument("--epochs", type=int, default=20, help="of each training")
    parser.add_argument("--seed", type=int, default=0, help="decides what is killed, and when")
    parsed = parser.parse_args(arguments)
    exit_on_sigterm()
    with running_suite_stack({"TANDEM_THREADS": "1"}, trainers=parsed.trainers) as stack:
        outcome = share_out(stack, parsed.jobs, parsed.kills, parsed.seed, parsed.epochs)
    busy = ", ".join(f"{count} of {backend}" for backend, count in outcome.trainers_used.items())
    print(
        f"{outcome.succeeded} of {parsed.jobs} trainings succeeded, {outcome.kills} kills, {outcome.resumed} runs "
        f"resumed, trainers busy at once: {busy}; {outcome.duration_s:.0f} s"
    )
    print(*outcome.faults, sep="\n", end="\n" if outcome.faults else "")
    return int(bool(outcome.faults) or outcome.succeeded != parsed.jobs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
