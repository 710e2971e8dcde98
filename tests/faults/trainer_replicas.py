"""Several trainers per backend share trainings while random trainers are killed: each model is published exactly once.

    .venv/test/bin/python -m tests.faults.trainer_replicas [--trainers 3] [--jobs 60] [--kills 20] [--seed 0]

This starts a stack of its own, and needs about 0.5 GB of memory per trainer. The exit status is 1 if a training did not
succeed, or was not published exactly once. `tests/stack/test_replicas.py` runs a short version.
"""

import argparse
import random
import signal
import sys
import threading
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
TRAINING = {"network": "mlp", "dataset": "digits", "epochs": 40, "batch_size": 8, "name": NAME}
FINAL = ("succeeded", "failed", "cancelled")
TIMEOUT_S = 1800


@dataclass
class Outcome:
    """What became of the trainings.

    Attributes:
        succeeded: how many trainings succeeded in every backend.
        kills: how many trainers or work horses were killed.
        trainers_used: backend -> how many workers performed at least one run, as far as `/v1/status` showed it.
        resumed: how many runs went on from a checkpoint.
        faults: what is not as it must be. Empty if each training was published exactly once.
        duration_s: from the first submission to the end of the last training.
    """

    succeeded: int = 0
    kills: int = 0
    trainers_used: dict[str, int] = field(default_factory=dict)
    resumed: int = 0
    faults: list[str] = field(default_factory=list)
    duration_s: float = 0.0


def share_out(stack: Stack, jobs: int, kills: int, seed: int, pause_s: tuple[float, float] = (1.0, 4.0)) -> Outcome:
    """Submit trainings, kill random trainers meanwhile, and check what was published.

    Args:
        stack: a running stack with several trainers per backend.
        jobs: how many trainings, each of every backend.
        kills: how many processes to kill at most.
        seed: decides which ones, and when.
        pause_s: the shortest and the longest pause before a kill.
    """
    client, outcome, started_s = Client(stack.url), Outcome(), time.monotonic()
    identities = [client.post("/v1/trainings", {**TRAINING, "seed": number})["id"] for number in range(jobs)]
    has_ended = threading.Event()
    killer = threading.Thread(target=_kill_at_random, args=(stack, kills, seed, pause_s, has_ended, outcome))
    killer.start()
    seen: dict[str, int] = dict.fromkeys(stack.settings.backends, 0)
    try:
        wait(lambda: _count_open(client, seen) == 0, message="trainings did not end", timeout_s=TIMEOUT_S, every_s=0.5)
    finally:
        has_ended.set()
        killer.join()
    outcome.duration_s, outcome.trainers_used = time.monotonic() - started_s, seen
    _check(stack, client, identities, outcome)
    return outcome


def _count_open(client: Client, seen: dict[str, int]) -> int:
    """Return how many runs have not ended, and note how many trainers worked at the same time."""
    backends = client.get("/v1/status")["backends"]
    for backend, most in seen.items():
        busy = sum(trainer["running"] is not None for trainer in backends[backend]["trainers"])
        seen[backend] = max(most, busy)
    return sum(backends[backend]["unfinished"] for backend in seen)


def _kill_at_random(
    stack: Stack, kills: int, seed: int, pause_s: tuple[float, float], has_ended: threading.Event, outcome: Outcome
) -> None:
    """Kill trainers, or only their work horses, until the trainings have ended."""
    choices = random.Random(seed)
    while outcome.kills < kills and not has_ended.wait(choices.uniform(*pause_s)):
        backend = choices.choice(stack.settings.backends)
        pids = find_processes(stack.settings, f"services.{backend}.trainer")
        horses = [pid for pid in pids if parent_of(pid) in pids]
        if not pids:
            continue
        victim = choices.choice(horses or pids)
        parent = parent_of(victim) if victim in horses else victim
        kill([victim] if choices.random() < 0.5 else [parent, victim], signal.SIGKILL)
        outcome.kills += 1


def _check(stack: Stack, client: Client, identities: list[str], outcome: Outcome) -> None:
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
        elif any(len(run["history"]) != TRAINING["epochs"] for run in training["runs"].values()):
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
    parser.add_argument("--kills", type=int, default=20, help="processes to kill at most")
    parser.add_argument("--seed", type=int, default=0, help="decides what is killed, and when")
    parsed = parser.parse_args(arguments)
    exit_on_sigterm()
    with running_suite_stack({"TANDEM_THREADS": "1"}, trainers=parsed.trainers) as stack:
        outcome = share_out(stack, parsed.jobs, parsed.kills, parsed.seed)
    busy = ", ".join(f"{count} of {backend}" for backend, count in outcome.trainers_used.items())
    print(
        f"{outcome.succeeded} of {parsed.jobs} trainings succeeded, {outcome.kills} kills, {outcome.resumed} runs "
        f"resumed, trainers busy at once: {busy}; {outcome.duration_s:.0f} s"
    )
    print(*outcome.faults, sep="\n", end="\n" if outcome.faults else "")
    return int(bool(outcome.faults) or outcome.succeeded != parsed.jobs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
