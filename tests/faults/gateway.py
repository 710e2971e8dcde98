"""Faults of the gateway: its serving process is killed, and every service is restarted under load."""

import signal
import threading
import time

from tests.faults.answers import Answer
from tests.faults.experiment import Experiment, Fault
from tests.faults.process_control import kill, sleep_s, wait_ended
from tests.faults.traffic import is_complete, predict_picture
from tests.faults.waiting import wait

CLIENTS = 4
SETTLE_S = 2


class Load:
    """Clients that predict without pause, each request over a new connection, and keep the answers."""

    def __init__(self, experiment: Experiment) -> None:
        self._url, self._stop = experiment.target.url, threading.Event()
        self.answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._predict, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _predict(self) -> None:
        while not self._stop.wait(0.02):
            self.answers.append(predict_picture(self._url))

    def count_refused_connections(self) -> int:
        """Return how many connections were refused: nobody listened."""
        return sum(answer.error == "connection refused" for answer in self.answers)


def kill_serving_process(experiment: Experiment) -> None:
    """End the gateway's process that answers. Its listening socket must stay open, so that clients wait."""
    target = experiment.target
    pid = target.find_serving_gateway()
    with Load(experiment) as load:
        sleep_s(1)
        kill([pid], signal.SIGKILL)
        wait_ended([pid])
        started = time.monotonic()
        wait(lambda: is_complete(predict_picture(target.url)), message="the gateway did not come back", every_s=0.02)
        experiment.note_recovery("the gateway", time.monotonic() - started)
        sleep_s(1)
    refused = load.count_refused_connections()
    experiment.require(not refused, f"{refused} connections were refused")
    cut = sum(bool(answer.error) for answer in load.answers) - refused
    experiment.notes.append(f"{cut} of {len(load.answers)} requests cut off")
    experiment.require(not any(answer.is_bare for answer in load.answers), "an answer was a bare error")


def kill_first_process(experiment: Experiment) -> None:
    """End the gateway's first process; supervisor starts a new one."""
    pids = experiment.target.find_gateways()
    kill(pids[:1], signal.SIGKILL)
    wait_ended(pids)


def restart_in_turn(experiment: Experiment) -> None:
    """Restart the gateway, the predictors and the trainers under load, one after the other. No request may fail.

    SIGHUP replaces the gateway's serving process; the other services get SIGTERM.
    """
    target, patience_s = experiment.target, experiment.limits.patience_s
    with Load(experiment) as load:
        replaced = target.find_serving_gateway()
        kill(target.find_gateways()[:1], signal.SIGHUP)
        wait_ended([replaced], timeout_s=patience_s)  # it first finishes what it has begun
        for backend in target.settings.backends:
            predictors, trainers = target.find_predictors(backend), target.find_trainers(backend)
            kill(predictors, signal.SIGTERM)
            wait_ended(predictors)
            started = time.monotonic()
            wait(
                lambda: is_complete(predict_picture(target.url)),
                message=f"{backend}'s predictor did not come back",
                timeout_s=patience_s,
            )
            experiment.notes.append(f"{backend}'s predictor answers after {time.monotonic() - started:.1f} s")
            kill(trainers, signal.SIGTERM)
            wait_ended(trainers)
            sleep_s(SETTLE_S)
    failed = [answer for answer in load.answers if not answer.is_ok]
    experiment.notes.append(f"{len(failed)} of {len(load.answers)} requests failed")
    experiment.require(not failed, f"{len(failed)} requests failed, such as {failed[0] if failed else ''}")


FAULTS = [
    Fault(
        "gateway-killed",
        "fault 25",
        "the gateway's worker SIGKILL",
        kill_serving_process,
        kills_gateway=True,
        is_short=True,
    ),
    Fault("gateway-first", "recovery", "the gateway's first process SIGKILL", kill_first_process, kills_gateway=True),
    Fault("rolling-restart", "fault 26", "rolling restart under load", restart_in_turn),
]
