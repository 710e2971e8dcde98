"""Versions are published, processes are replaced and a predictor hangs, while clients go on with their requests."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest
import requests

from services.cli.client import Client
from services.stack.stack import Stack
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_gateway, find_processes

pytestmark = pytest.mark.stack

SEVEN = Path("samples/seven.png").read_bytes()
PER_SECOND = 100


def train(client: Client, name: str) -> int:
    """Train a model for one epoch and return its version."""
    training = client.post("/v1/trainings", {"name": name, "dataset": "digits", "epochs": 1})
    return client.follow(f"/v1/trainings/{training['id']}")["version"]


def test_no_prediction_fails_while_ten_versions_are_published(client: Client) -> None:
    """Requests are sent on a fixed schedule, without waiting for responses, so that a stall would affect many."""
    url = f"{client.url}/v1/predictions?model=released"
    first = train(client, "released")

    def predict() -> tuple[int, set[int]]:
        """Return the status, or 0 if a backend is missing, and the versions that answered."""
        answer = requests.post(url, SEVEN, headers={"Content-Type": "image/png"}, timeout=30)
        results = answer.json()["images"][0]["results"] if answer.ok else {}
        return answer.status_code if len(results) == 2 else 0, {result["version"] for result in results.values()}

    with ThreadPoolExecutor(64) as requesters, ThreadPoolExecutor(1) as publisher:
        publishing = publisher.submit(lambda: [train(client, "released") for _ in range(10)])
        answers: list[Future[tuple[int, set[int]]]] = []
        started_at = time.perf_counter()
        while not publishing.done():
            answers.append(requesters.submit(predict))
            time.sleep(max(0.0, started_at + len(answers) / PER_SECOND - time.perf_counter()))
        assert publishing.result() == list(range(first + 1, first + 11))
    found = [answer.result() for answer in answers]
    assert {status for status, _ in found} == {200}
    assert all(len(versions) == 1 for _, versions in found), "all backends answer with the same version"
    served = [versions.pop() for _, versions in found]
    assert served[0] == first
    assert len(set(served)) >= 10, "a version was never served"


def test_a_corrupt_version_is_not_served_and_the_previous_one_is(client: Client, settings: Settings) -> None:
    good, bad = train(client, "corrupt"), train(client, "corrupt")
    weights = ModelRegistry(settings.model_dir).path("corrupt", "pytorch", bad) / "weights.safetensors"
    published = weights.read_bytes()
    try:
        weights.write_bytes(bytes(len(published)))
        (image,) = client.predict("corrupt", Path("samples/seven.png"))["images"]
        assert {result["version"] for result in image["results"].values()} == {good}
    finally:
        weights.write_bytes(published)


def test_predictors_load_a_version_before_it_is_published(client: Client, stack: Stack) -> None:
    """The log shows that each predictor loaded the draft (`.tmp-`) and nothing more for the first request."""
    train(client, "warm")
    client.predict("warm", Path("samples/seven.png"))
    log = (stack.settings.state_dir / "log").read_text().splitlines()
    loads = [line for line in log if "model loaded" in line and "warm" in line]
    assert len(loads) == 2, "once by each backend"
    assert all(".tmp-" in line for line in loads)


@contextmanager
def four_clients(url: str) -> Iterator[Counter[str]]:
    """Let two clients predict and two read trainings on kept connections; yield the counts of what happened to them.

    The keys are statuses, and the names of exceptions of requests without a response.
    """
    outcomes: Counter[str] = Counter()
    stop = Event()

    def repeat(request: Callable[[requests.Session], requests.Response]) -> None:
        while not stop.is_set():
            with requests.Session() as session:
                try:
                    while not stop.is_set():
                        outcomes[str(request(session).status_code)] += 1
                except requests.ConnectionError as error:
                    outcomes["refused" if "Connection refused" in str(error) else "closed"] += 1

    def predict(session: requests.Session) -> requests.Response:
        path = f"{url}/v1/predictions?model=mlp-digits"
        return session.post(path, SEVEN, headers={"Content-Type": "image/png"}, timeout=30)

    def poll(session: requests.Session) -> requests.Response:
        return session.get(f"{url}/v1/trainings", timeout=30)

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(repeat, request) for request in (predict, predict, poll, poll)]
        try:
            wait_until(lambda: outcomes["200"] > 20, message="the clients got no answers")
            yield outcomes
        finally:
            stop.set()
        for one in clients:
            one.result()


def serves_another(settings: Settings, old: int, outcomes: Counter[str], answers: int) -> bool:
    """Return whether the gateway's process is another one, and has given 20 answers."""
    return old not in find_gateway(settings)[1] and outcomes["200"] > answers + 20


def test_a_killed_gateway_process_costs_only_the_requests_that_it_had_accepted(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    with four_clients(client.url) as outcomes:
        for _ in range(3):
            (serving,) = wait_until(lambda: find_gateway(settings)[1], message="no process serves")
            os.kill(serving, signal.SIGKILL)
            check = partial(serves_another, settings, serving, outcomes, outcomes["200"])
            wait_until(check, message="no other process serves")
    assert outcomes.keys() <= {"200", "closed"}, outcomes
    assert outcomes["closed"] <= 3 * 4


def test_a_rolling_restart_of_the_gateway_fails_no_request(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    with four_clients(client.url) as outcomes:
        for _ in range(3):
            parent, (serving,) = find_gateway(settings)
            os.kill(parent, signal.SIGHUP)
            check = partial(serves_another, settings, serving, outcomes, outcomes["200"])
            wait_until(check, message="no other process serves")
    assert outcomes.keys() == {"200"}, outcomes


def test_a_gateway_whose_both_processes_are_killed_is_started_again(client: Client, settings: Settings) -> None:
    parent, serving = find_gateway(settings)
    for pid in (parent, *serving):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: client.get("/v1/status"), message="the gateway did not come back")
    assert find_gateway(settings)[0] != parent


def test_a_predictor_that_hangs_costs_only_its_own_answers(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    def predict(query: str) -> dict:
        url = f"{client.url}/v1/predictions?model=mlp-digits{query}"
        answer = requests.post(url, SEVEN, headers={"Content-Type": "image/png"}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert predict("")["errors"] == {}
    (predictor,) = find_processes(settings, "services.pytorch.predictor")
    os.kill(predictor, signal.SIGSTOP)
    try:
        assert predict("&wait=any")["errors"] == {"pytorch": "pytorch was not waited for (wait=any)"}
        limited = predict("")
        assert list(limited["errors"]) == ["pytorch"]
        assert list(limited["images"][0]["results"]) == ["tensorflow"]
        inference = {"inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [0] * 64}]}
        joint = requests.post(f"{client.url}/v2/models/mlp-digits/infer", json=inference, timeout=30)
        assert joint.status_code == 503
        assert "pytorch" in joint.json()["detail"]
    finally:
        os.kill(predictor, signal.SIGCONT)
    wait_until(lambda: predict("")["errors"] == {}, message="the predictor's answers did not come back")


def test_a_wait_for_anything_else_is_refused(client: Client, digits_model: dict) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits&wait=some"
    answer = requests.post(url, SEVEN, headers={"Content-Type": "image/png"}, timeout=30)
    assert answer.status_code == 422
    assert "wait" in answer.json()["detail"]
