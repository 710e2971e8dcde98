"""Faults of predictors: one is down, one is slow, one is stopped."""

import contextlib
import signal
import time
from collections.abc import Iterator

from tests.faults.answers import Answer
from tests.faults.experiment import Experiment, Fault
from tests.faults.process_control import kill, wait_ended
from tests.faults.traffic import PICTURE, is_complete
from tests.faults.waiting import wait

BACKEND, OTHER = "pytorch", "tensorflow"
DEADLINE_TOLERANCE_S = 1.0
REQUESTS = 5


def take_one_down(experiment: Experiment) -> None:
    """Have one backend's predictor down: the other one's answer comes, and names the missing one."""
    target = experiment.target
    with target.paused_supervisor():
        kill(target.find_predictors(BACKEND), signal.SIGKILL)
        wait(lambda: not is_complete(experiment.predict()), message="the dead predictor was not missed", timeout_s=15)
        for _ in range(REQUESTS):
            _require_partial(experiment, experiment.predict())


def slow_one_down(experiment: Experiment) -> None:
    """Stop one backend's predictor. The answer must come at the deadline of joint predictions."""
    deadline_s = experiment.target.settings.joint_timeout_s
    with _stopped(experiment):
        for _ in range(REQUESTS):
            answer = experiment.predict()
            _require_partial(experiment, answer)
            if answer.seconds > deadline_s + DEADLINE_TOLERANCE_S:
                text = f"a partial answer took {answer.seconds:.1f} s; the deadline is {deadline_s:g} s"
                experiment.exceeded.append(text)
    experiment.exceeded[:] = experiment.exceeded[:1]


def ask_for_any(experiment: Experiment) -> None:
    """Stop one backend's predictor, and ask for whichever backend answers first."""
    with _stopped(experiment):
        for _ in range(REQUESTS):
            answer = experiment.ask(
                "POST",
                "/v1/predictions?model=probe&wait=any",
                data=PICTURE.read_bytes(),
                headers={"Content-Type": "image/png"},
            )
            experiment.require(answer.status == 200, f"wait=any: {answer}")
            if answer.seconds > 1:
                experiment.exceeded.append(f"wait=any answered after {answer.seconds:.1f} s")
    experiment.failures[:] = experiment.failures[:1]
    experiment.exceeded[:] = experiment.exceeded[:1]


def kill_under_load(experiment: Experiment) -> None:
    """End both predictors, one after the other, under the light traffic."""
    for backend in (BACKEND, OTHER):
        pids = experiment.target.find_predictors(backend)
        kill(pids, signal.SIGKILL)
        wait_ended(pids)
        started = time.monotonic()
        wait(
            lambda: is_complete(experiment.predict()),
            message=f"{backend}'s predictor did not come back",
            timeout_s=experiment.limits.patience_s,
        )
        experiment.note_recovery(f"{backend}'s predictor", time.monotonic() - started)


@contextlib.contextmanager
def _stopped(experiment: Experiment) -> Iterator[None]:
    pids = experiment.target.find_predictors(BACKEND)
    kill(pids, signal.SIGSTOP)
    started = time.monotonic()
    try:
        yield
    finally:
        kill(pids, signal.SIGCONT)
        experiment.notes.append(f"stopped for {time.monotonic() - started:.0f} s")


def _require_partial(experiment: Experiment, answer: Answer) -> None:
    """Require one backend's answer, and the other one's name in `errors`."""
    body = answer.json() or {}
    experiment.require(answer.status == 200, f"the healthy backend's answer did not come: {answer}")
    experiment.require(list(body.get("errors", {})) == [BACKEND], f"the missing backend is not named: {answer}")


FAULTS = [
    Fault("predictor-down", "fault 23", "one backend down", take_one_down),
    Fault("predictor-slow", "fault 24", "one backend slow", slow_one_down, is_short=True),
    Fault("wait-any", "recovery", "one predictor stopped, wait=any", ask_for_any),
    Fault("predictors-killed", "recovery", "each predictor SIGKILL in turn", kill_under_load),
]
