"""Many small jobs while processes of every kind are killed: `python -m tests.faults.chaos [--jobs 500] [--seed 0]`.

Trainings, evaluations and deletions are submitted, each with an Idempotency-Key and repeated until it is
acknowledged. Every three seconds a process is ended with SIGKILL: a work horse, a trainer, both, a predictor, a process
of the gateway, or Redis. Every job must reach a final state, and every version may be published once.
"""

import argparse
import contextlib
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.answers import Answer, ask
from tests.faults.ledger import Ledger, Settlement, errors_of, explains, verify_volume
from tests.faults.process_control import exit_on_sigterm, kill
from tests.faults.target import Target
from tests.faults.traffic import PROBE, small_training
from tests.faults.waiting import FaultFailureError, wait

CLIENTS = 4
MOST_OPEN = 24  # jobs that are waiting or running at a time
ACKNOWLEDGED_WITHIN_S = 120
NAMES = 5  # models that the trainings share, so that versions race
PROGRESS_EVERY_KILLS = 10
VICTIMS = ("horse", "trainer", "trainer and horse", "predictor", "gateway's child", "gateway's parent", "redis")


@dataclass(frozen=True)
class ChaosPlan:
    """How much happens.

    Attributes:
        jobs: how many jobs are submitted.
        kill_every_s: seconds between two kills.
        seed: decides the jobs and the victims.
        timeout_s: after so many seconds the jobs that have not ended are lost.
    """

    jobs: int = 500
    kill_every_s: float = 3
    seed: int = 0
    timeout_s: float = 1800


@dataclass
class ChaosResult:
    """What became of the jobs.

    Attributes:
        settlement: what the ledger shows.
        kinds: kind -> how many were acknowledged.
        statuses: status -> how many jobs ended with it.
        kills: victim -> how often it was killed.
        errors: the errors that no kill explains.
        seconds: from the first submission to the last final state.
    """

    settlement: Settlement
    kinds: Counter[str]
    statuses: Counter[str]
    kills: Counter[str]
    seconds: float
    errors: list[str] = field(default_factory=list)


class Chaos:
    """Submits jobs and kills processes of a running stack.

    Args:
        target: the stack.
        plan: how much happens.
    """

    def __init__(self, target: Target, plan: ChaosPlan) -> None:
        self._target, self._plan = target, plan
        self._ledger = Ledger(target)
        self._stop = threading.Event()
        self._kills: Counter[str] = Counter()
        self._given_up: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> ChaosResult:
        """Submit all jobs, kill meanwhile, and wait until all have ended."""
        started, plan = time.monotonic(), self._plan
        killer = threading.Thread(target=self._kill_until_stopped, daemon=True)
        killer.start()
        try:
            shares = [plan.jobs // CLIENTS + (number < plan.jobs % CLIENTS) for number in range(CLIENTS)]
            with ThreadPoolExecutor(CLIENTS) as pool:
                clients = [
                    pool.submit(self._submit_repeatedly, random.Random(f"{plan.seed} {number}"), share)
                    for number, share in enumerate(shares)
                ]
                try:
                    for client in clients:
                        client.result()
                except BaseException:
                    self._stop.set()  # otherwise leaving the block would wait for all submissions
                    raise
            rest_s = max(1.0, plan.timeout_s - (time.monotonic() - started))
            with contextlib.suppress(FaultFailureError):  # the settlement counts what has not ended
                wait(lambda: self._refresh() == 0, message="jobs have not ended", timeout_s=rest_s, every_s=0.5)
        finally:
            self._stop.set()
            killer.join()
        seconds = time.monotonic() - started
        settlement = self._ledger.settle(timeout_s=60)
        jobs = self._ledger.jobs
        failed = [error for job in jobs if job.status == "failed" for error in errors_of(job.body)]
        return ChaosResult(
            settlement,
            Counter(job.kind for job in jobs),
            Counter(job.status for job in jobs),
            self._kills,
            seconds,
            [
                *self._given_up,
                *(error for error in failed if not explains(error)),
                *verify_volume(self._target.registry),
            ],
        )

    def _refresh(self) -> int:
        self._ledger.watch_publications()
        return self._ledger.refresh()

    def _kill_until_stopped(self) -> None:
        try:
            self._kill_repeatedly()
        except Exception as error:  # without kills, the jobs would show nothing
            self._given_up.append(f"the kills ended early: {error!r}")

    def _kill_repeatedly(self) -> None:
        generator = random.Random(f"{self._plan.seed} kills")
        while not self._stop.wait(self._plan.kill_every_s):
            victim = generator.choice(VICTIMS)
            backend = generator.choice(self._target.settings.backends)
            pids = self._find(victim, backend)
            if not pids:
                continue
            kill(pids, signal.SIGKILL)
            self._kills[victim] += 1
            if sum(self._kills.values()) % PROGRESS_EVERY_KILLS == 0:
                open_jobs = self._ledger.count_open()
                print(
                    f"chaos: {len(self._ledger.jobs)} acknowledged, {open_jobs} open, {_format(self._kills)}",
                    flush=True,
                )

    def _find(self, victim: str, backend: str) -> list[int]:
        target = self._target
        if victim == "redis":
            redis = target.find_redis()
            return [] if redis is None else [redis]
        gateways = target.find_gateways()
        return {
            "horse": target.find_work_horses(backend),
            "trainer": target.find_trainers(backend),
            "trainer and horse": target.find_trainers(backend) + target.find_work_horses(backend),
            "predictor": target.find_predictors(backend),
            "gateway's child": gateways[-1:],
            "gateway's parent": gateways[:1],
        }[victim]

    def _submit_repeatedly(self, generator: random.Random, count: int) -> None:
        for _ in range(count):
            if self._stop.is_set():
                return
            self._wait_for_room()
            kind = generator.choices(("trainings", "evaluations", "deletions"), weights=(6, 3, 1))[0]
            deletable = self._take_deletable() if kind == "deletions" else None
            if deletable:
                self._acknowledge("deletions", "DELETE", "/v1/models/{}/{}/{}".format(*deletable), None)
            elif kind == "evaluations":
                self._acknowledge("evaluations", "POST", "/v1/evaluations", {"model": PROBE})
            else:
                request = small_training(f"chaos-{generator.randrange(NAMES)}", generator.randint(1, 3))
                self._acknowledge("trainings", "POST", "/v1/trainings", request)

    def _wait_for_room(self) -> None:
        with self._lock:  # one client reads the state of the open jobs for all

            def has_room() -> bool:
                return self._stop.is_set() or self._refresh() < MOST_OPEN

            try:
                wait(has_room, message="the queue does not move", timeout_s=300, every_s=0.2)
            except FaultFailureError as error:
                self._given_up.append(str(error))

    def _take_deletable(self) -> tuple[str, str, int] | None:
        """Return a model of an ended training that no job has deleted yet, and note that one deletes it now."""
        with self._lock:
            for job in self._ledger.jobs:
                if job.kind == "trainings" and job.status == "succeeded":
                    for backend in job.body["runs"]:
                        key = (job.body["name"], backend, job.body["version"])
                        if key not in self._ledger.deleted:
                            self._ledger.deleted.add(key)
                            return key
        return None

    def _acknowledge(self, kind: str, method: str, path: str, request: dict[str, object] | None) -> None:
        """Send a request until it is acknowledged. A deletion that was carried out unheard is one as well."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if request is not None else {}

        def is_acknowledged() -> bool:
            if self._stop.is_set():
                return True
            answer = ask(self._target.url, method, path, json=request, headers=headers)
            job = self._ledger.record_submission(kind, answer)
            return job is not None or _is_done(answer, kind)

        try:
            wait(is_acknowledged, message=f"{method} {path}", timeout_s=ACKNOWLEDGED_WITHIN_S, every_s=0.2)
        except FaultFailureError as error:
            self._given_up.append(f"not acknowledged: {error}")


def _is_done(answer: Answer, kind: str) -> bool:
    return kind == "deletions" and answer.status == 404


def print_summary(result: ChaosResult) -> bool:
    """Print what became of the jobs, and return whether everything held."""
    found = result.settlement
    jobs, kills = sum(result.kinds.values()), sum(result.kills.values())
    print(
        f"\nchaos: {jobs} jobs ({_format(result.kinds)}) in {result.seconds:.0f} s, "
        f"{kills} kills ({_format(result.kills)})\n"
        f"       {jobs - found.lost} reached a final state ({_format(result.statuses)}), {found.lost} lost",
        flush=True,
    )
    reasons = list(dict.fromkeys([*found.faults, *result.errors]))
    for reason in reasons[:10]:
        print(f"       - {' '.join(reason.split())[:200]}")
    return not reasons and not found.lost


def _format(counts: "Counter[str]") -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def add_chaos_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that a `ChaosPlan` is made of."""
    defaults = ChaosPlan()
    parser.add_argument("--jobs", type=int, default=defaults.jobs, help="jobs of the random kills")
    parser.add_argument("--kill-every", type=float, default=defaults.kill_every_s, help="seconds between two kills")


def plan_of(parsed: argparse.Namespace) -> ChaosPlan:
    """Return the plan that a command line asks for."""
    return ChaosPlan(parsed.jobs, parsed.kill_every, parsed.seed)


def main(arguments: list[str]) -> int:
    """Run the command line, and return 1 if something was lost or broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos")
    parser.add_argument("--seed", type=int, default=0)
    add_chaos_arguments(parser)
    parsed = parser.parse_args(arguments)
    exit_on_sigterm()
    target = Target(Path(".tandem"))
    target.start()
    try:
        return 0 if print_summary(Chaos(target, plan_of(parsed)).run()) else 1
    finally:
        target.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
