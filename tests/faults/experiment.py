"""One fault: inject it, wait for the first complete service, settle the ledger, and say what was lost."""

import contextlib
import random
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.stack.stack import StackError
from tests.faults.answers import Answer, ask
from tests.faults.ledger import FINAL, Ledger, verify_volume
from tests.faults.target import Target
from tests.faults.traffic import Traffic, is_complete, predict_picture, small_training
from tests.faults.waiting import FaultFailureError, wait

SURVIVED, FAILED, SKIPPED = "survived", "FAILED", "skipped"


class SkipFaultError(Exception):
    """This machine cannot inject the fault. The message says why."""


@dataclass(frozen=True)
class Limits:
    """What a fault or an attack may cost.

    Attributes:
        recovery_s: from the fault's end to the first complete service.
        patience_s: how long the program waits for a recovery; longer than `recovery_s`, to say how long it takes.
        prediction_ms: the 99th percentile of another client's small predictions during an attack.
        health_ms: the slowest answer of `/v2/health/live` during an attack.
        memory_mb: the gateway's resident memory during an attack, in MB of 1,000,000 bytes.
        attack_s: how long an attack lasts.
        jobs: how many jobs the rows with many jobs submit.
    """

    recovery_s: float = 15
    patience_s: float = 60
    prediction_ms: float = 100
    health_ms: float = 200
    memory_mb: float = 600
    attack_s: float = 10
    jobs: int = 400


@dataclass
class Experiment:
    """What a fault's function uses: the stack, the ledger, and the limits.

    Attributes:
        failures: what Tandem did not do.
        exceeded: which limits of time or memory were passed.
        notes: what was measured, for the table.
        interrupted: the runs that the fault interrupts: (path, backend). They must go on, or end.
        resources: what is closed when the recovery is over, such as a second trainer.
    """

    target: Target
    ledger: Ledger
    random: random.Random
    limits: Limits
    name: str
    failures: list[str] = field(default_factory=list)
    exceeded: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    interrupted: list[tuple[str, str]] = field(default_factory=list)
    resources: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def require(self, condition: object, message: str) -> None:
        """Note a failure unless a condition holds."""
        if not condition:
            self.failures.append(message)

    def note_recovery(self, what: str, seconds: float) -> None:
        """Note how long a part took to come back, and that a limit was passed if it took too long."""
        self.notes.append(f"{what} answers after {seconds:.1f} s")
        if seconds > self.limits.recovery_s:
            self.exceeded.append(f"{what} took {seconds:.1f} s; the limit is {self.limits.recovery_s:g} s")

    def ask(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send a request, and record its answer in the ledger."""
        answer = ask(self.target.url, method, path, **arguments)
        self.ledger.record(answer)
        return answer

    def predict(self, timeout_s: float = 30) -> Answer:
        """Post a small picture for all backends, and record the answer in the ledger."""
        answer = predict_picture(self.target.url, timeout_s=timeout_s)
        self.ledger.record(answer, is_prediction=True)
        return answer

    def submit(self, kind: str, request: dict[str, Any], *, may_fail: bool = False) -> str:
        """Submit a job that must be accepted, and return its path.

        Raises:
            FaultFailureError: it was not accepted.
        """
        answer = ask(self.target.url, "POST", f"/v1/{kind}", json=request)
        job = self.ledger.record_submission(kind, answer, may_fail=may_fail)
        if job is None:
            raise FaultFailureError(f"a job was not accepted: {answer}")
        return job.path

    def start_long_training(self, backend: str = "pytorch", *, may_fail: bool = False, epochs: int = 60) -> str:
        """Submit a training of many epochs, wait for its second epoch, and return its path."""
        request = {**small_training(f"{self.name}-long", epochs), "batch_size": 16, "backends": [backend]}
        path = self.submit("trainings", request, may_fail=may_fail)
        wait(lambda: self.read_run(path, backend)["epoch"] >= 2, message="the second epoch was not reached")
        return path

    def interrupt_long_training(self, backend: str = "pytorch") -> str:
        """Start a long training that the fault will interrupt and that must go on. Return its path."""
        path = self.start_long_training(backend)
        self.interrupted.append((path, backend))
        return path

    def read_run(self, path: str, backend: str) -> Any:
        """Return the state of one backend's run. It raises while the gateway does not answer."""
        return ask(self.target.url, "GET", path).json()["runs"][backend]

    def wait_final(self, path: str, timeout_s: float = 60) -> Any:
        """Wait until a job has ended, and return it."""

        def read_ended() -> Any:
            body = ask(self.target.url, "GET", path).json()
            return body if body["status"] in FINAL else None

        return wait(read_ended, message=f"{path} did not end", timeout_s=timeout_s)


def has_gone_on(experiment: Experiment) -> bool:
    """Return whether every interrupted run has ended, or has resumed and finished another epoch."""
    for path, backend in experiment.interrupted:
        run = experiment.read_run(path, backend)
        has_resumed = run["resumed_after"] is not None and run["epoch"] > run["resumed_after"]
        if run["status"] not in FINAL and not has_resumed:
            return False
    return True


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: what `--only` selects.
        source: where the row comes from: `fault 1` to `fault 30`, `recovery`, `attack`, or `containers`.
        title: what happens.
        inject: makes the fault and ends it; returns when it is over.
        recovered: whether what the fault interrupted goes on. It is polled after the fault.
        kills_gateway: whether connection errors are expected.
        is_short: whether `--short` selects it.
        has_trainings: whether small trainings are submitted meanwhile.
    """

    name: str
    source: str
    title: str
    inject: Callable[[Experiment], None]
    recovered: Callable[[Experiment], bool] = has_gone_on
    kills_gateway: bool = False
    is_short: bool = False
    has_trainings: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Attributes:
        recovery_s: from the fault's end to the first complete service; None if there was none, or for a skipped row.
        acknowledged: jobs that were acknowledged.
        lost: those of them that did not reach a final state.
        predictions: predictions that were sent.
        refused: those of them that were not answered.
        failures: what Tandem did not do.
        exceeded: which limits of time or memory were passed.
        notes: what was measured; for a skipped row, the reason.
    """

    fault: Fault
    status: str
    recovery_s: float | None = None
    acknowledged: int = 0
    lost: int = 0
    predictions: int = 0
    refused: int = 0
    failures: tuple[str, ...] = ()
    exceeded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def run_fault(fault: Fault, target: Target, seed: int, limits: Limits, is_healthy: bool = False) -> Outcome:
    """Inject a fault into a running stack, and return what became of it.

    Args:
        seed: decides everything that is random in this row.
        is_healthy: whether a complete service was seen a moment ago. Otherwise one is waited for first.
    """
    ledger = Ledger(target)
    name = fault.name[:40]
    experiment = Experiment(target, ledger, random.Random(f"{seed} {fault.name}"), limits, name)
    recovery_s = None
    try:
        if not is_healthy:
            wait_for_service(experiment, limits.patience_s)
        with Traffic(ledger, f"{name}-traffic", seed, fault.has_trainings):
            try:
                fault.inject(experiment)
            except FaultFailureError as error:
                experiment.failures.append(str(error))
            ended_at = time.monotonic()
            wait_for_service(experiment, limits.patience_s)
            wait(
                lambda: fault.recovered(experiment),
                message="what the fault interrupted did not go on",
                timeout_s=max(1.0, limits.patience_s - (time.monotonic() - ended_at)),
            )
            recovery_s = time.monotonic() - ended_at
            for path, backend in experiment.interrupted:
                is_resumed = experiment.read_run(path, backend)["resumed_after"] is not None
                experiment.require(is_resumed, f"{path} ended before the fault, which interrupted nothing")
    except SkipFaultError as error:
        return Outcome(fault, SKIPPED, notes=(str(error),))
    except FaultFailureError as error:
        experiment.failures.append(str(error))
    except StackError as error:
        experiment.failures.append(f"the stack did not start: {error}")
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        experiment.failures.append(f"the row itself broke: {error!r} in {where}")
    finally:
        experiment.resources.close()
    return _settle(fault, experiment, recovery_s)


def wait_for_service(experiment: Experiment, timeout_s: float) -> None:
    """Wait for a complete service: all backends answer a prediction, and a training that is submitted succeeds.

    The trainings are acknowledged jobs like all others: the ledger says if one of them failed without a reason.

    Raises:
        FaultFailureError: there was none within `timeout_s` seconds.
    """
    target = experiment.target
    paths: list[str] = []

    name = f"{experiment.name}-service"

    def trains() -> bool:
        if not paths:
            answer = ask(target.url, "POST", "/v1/trainings", json=small_training(name), timeout_s=5)
            if answer.status == 202:  # a refusal is no failure here: the recovery is not over
                job = experiment.ledger.record_submission("trainings", answer)
                assert job is not None
                paths.append(job.path)
            else:
                experiment.ledger.unknown_names.add(name)
            return False
        status = ask(target.url, "GET", paths[0], timeout_s=5).json()["status"]
        if status in ("failed", "cancelled"):
            paths.clear()
        return bool(status == "succeeded")

    started = time.monotonic()
    wait(trains, message="no complete service: no training succeeded", timeout_s=timeout_s)
    rest_s = max(1.0, timeout_s - (time.monotonic() - started))
    wait(
        lambda: is_complete(predict_picture(target.url, timeout_s=5)),
        message=lambda: f"no complete service: {predict_picture(target.url)}",
        timeout_s=rest_s,
    )


def _settle(fault: Fault, experiment: Experiment, recovery_s: float | None) -> Outcome:
    ledger, limits = experiment.ledger, experiment.limits
    settlement = ledger.settle()
    failures = [*experiment.failures, *settlement.faults, *verify_volume(experiment.target.registry)]
    if ledger.connection_errors and not fault.kills_gateway:
        failures.append(f"{ledger.connection_errors} requests got no response")
    exceeded = list(experiment.exceeded)
    if recovery_s is not None and recovery_s > limits.recovery_s:
        exceeded.append(f"{recovery_s:.1f} s to recover are more than {limits.recovery_s:g} s")
    notes = list(experiment.notes)
    if ledger.refused_connections:
        notes.append(f"{ledger.refused_connections} connections refused")
    return Outcome(
        fault,
        FAILED if failures or exceeded else SURVIVED,
        recovery_s,
        settlement.acknowledged,
        settlement.lost,
        ledger.predictions,
        ledger.refused_predictions,
        tuple(failures),
        tuple(exceeded),
        tuple(notes),
    )
