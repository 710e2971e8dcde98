"""Attack the gateway from four connections, and measure another client's small predictions and health meanwhile.

The attackers run in a process of their own and come from another loopback address: limits per client must not count
them with the client that is measured.
"""

import contextlib
import http.client
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue

import numpy as np
import requests

from tests.faults.answers import PROBLEM_TYPE, ask
from tests.faults.experiment import Experiment
from tests.faults.ledger import Ledger
from tests.faults.process_control import read_memory_mb
from tests.faults.traffic import predict_picture

CONNECTIONS = 4
ATTACKER = "127.0.0.2"  # every address in 127.0.0.0/8 is the machine itself on Linux
ATTACK_ENDS_WITHIN_S = 60

Attack = Callable[[int, threading.Event, "Counter[str]"], None]
"""Attacks a port over one connection until the event is set, and counts what was answered."""


@dataclass(frozen=True)
class Measurement:
    """What another client noticed of an attack.

    Attributes:
        prediction_ms: the 99th percentile of its small predictions.
        answered: how many of its predictions all backends answered.
        refused: how many were not answered by all backends.
        health_ms: the slowest answer of `/v2/health/live`.
        memory_mb: the gateway's largest resident memory, in MB of 1,000,000 bytes.
        answers: what the attackers got: a status, or the kind of an error -> how often.
    """

    prediction_ms: float
    answered: int
    refused: int
    health_ms: float
    memory_mb: float
    answers: Counter[str]


def send(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> str:
    """Send a request from the attacker's address. Return its status, `bare 500`, or the kind of an error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s, source_address=(ATTACKER, 0))
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        response.read()
        is_problem = (response.getheader("Content-Type") or "").startswith(PROBLEM_TYPE)
        if response.status == 500 or (response.status >= 400 and not is_problem):
            return f"bare {response.status}"
        return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def measure_attack(experiment: Experiment, attack: Attack, at_least_s: float = 0) -> Measurement:
    """Run an attack from four connections, compare what a client notices with the limits, and note it for the table.

    Args:
        attack: what each connection does.
        at_least_s: how long the attack lasts, if the limits say less.
    """
    found = _measure(experiment, attack, max(at_least_s, experiment.limits.attack_s))
    limits = experiment.limits
    answers = ", ".join(f"{count} x {answer}" for answer, count in sorted(found.answers.items())[:4])
    experiment.notes += [
        f"p99 {found.prediction_ms:.0f} ms of {found.answered}",
        f"health {found.health_ms:.0f} ms",
        f"{found.memory_mb:.0f} MB",
        f"attackers got {answers or 'no answer'}",
    ]
    if found.prediction_ms > limits.prediction_ms:
        experiment.exceeded.append(f"predictions' p99 is {found.prediction_ms:.0f} ms of {limits.prediction_ms:g} ms")
    if found.health_ms > limits.health_ms:
        experiment.exceeded.append(f"health took {found.health_ms:.0f} ms of {limits.health_ms:g} ms")
    if found.memory_mb > limits.memory_mb:
        experiment.exceeded.append(f"the gateway took {found.memory_mb:.0f} MB of {limits.memory_mb:g} MB")
    experiment.require(not found.refused, f"{found.refused} of another client's predictions were refused")
    bare = sum(count for answer, count in found.answers.items() if answer.startswith("bare"))
    experiment.require(not bare, f"{bare} bare errors")
    return found


def _measure(experiment: Experiment, attack: Attack, seconds: float) -> Measurement:
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue[Counter[str]] = context.SimpleQueue()
    port = experiment.target.settings.gateway_port
    attackers = context.Process(target=_attack, args=(attack, port, seconds, results), daemon=True)
    attackers.start()
    client = _Client(experiment)
    try:
        with client:
            attackers.join(seconds + ATTACK_ENDS_WITHIN_S)
    finally:
        attackers.kill()
        attackers.join()
    answers = Counter({"still waiting": CONNECTIONS}) if results.empty() else results.get()
    milliseconds = client.prediction_ms or [0.0]
    return Measurement(
        float(np.percentile(milliseconds, 99)),
        len(client.prediction_ms),
        client.refused,
        max(client.health_ms, default=0.0),
        client.memory_mb,
        answers,
    )


def _attack(attack: Attack, port: int, seconds: float, results: "SimpleQueue[Counter[str]]") -> None:
    """Run the attackers' threads; the main function of their process."""
    stop, answers = threading.Event(), [Counter[str]() for _ in range(CONNECTIONS)]
    threads = [threading.Thread(target=attack, args=(port, stop, each), daemon=True) for each in answers]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join(ATTACK_ENDS_WITHIN_S / 2)
    total: Counter[str] = sum(answers, Counter())
    results.put(total)


class _Client:
    """Predicts, asks for health, and reads the gateway's memory, each in its own thread."""

    def __init__(self, experiment: Experiment) -> None:
        self._ledger: Ledger = experiment.ledger
        self._target = experiment.target
        self._stop = threading.Event()
        self.prediction_ms: list[float] = []
        self.health_ms: list[float] = []
        self.refused = 0
        self.memory_mb = 0.0
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._predict, self._ask_health, self._read_memory)
        ]

    def __enter__(self) -> "_Client":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _predict(self) -> None:
        with requests.Session() as session:
            while not self._stop.wait(0.01):
                answer = predict_picture(self._target.url, session, timeout_s=60)
                self._ledger.record(answer, is_prediction=True)
                self.prediction_ms.append(answer.seconds * 1000)
                self.refused += not answer.is_ok

    def _ask_health(self) -> None:
        with requests.Session() as session:
            while not self._stop.wait(0.05):
                answer = ask(self._target.url, "GET", "/v2/health/live", session=session, timeout_s=60)
                self._ledger.record(answer)
                self.health_ms.append(answer.seconds * 1000)

    def _read_memory(self) -> None:
        while not self._stop.wait(0.2):
            with contextlib.suppress(OSError, IndexError):
                self.memory_mb = max(self.memory_mb, read_memory_mb(self._target.find_gateways()))
