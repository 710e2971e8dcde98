"""Cancelling ends a run within seconds, wherever it stands, and no model of it appears."""

import time
from collections.abc import Callable

import pytest
import requests

from services.cli.client import Client
from shared.models.registry import ModelRegistry
from shared.settings import Settings

pytestmark = pytest.mark.stack

ENDLESS = {"dataset": "digits", "epochs": 1000, "batch_size": 1}
PATIENCE_S = 2


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def submit(client: Client, name: str) -> str:
    return f"/v1/trainings/{client.post('/v1/trainings', {**ENDLESS, 'name': name})['id']}"


def cancel(client: Client, path: str) -> dict:
    answer = requests.post(f"{client.url}{path}/cancel", timeout=10)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == path
    until(lambda: client.get(path)["status"] == "cancelled", PATIENCE_S)
    return client.get(path)


def trainers_are_idle(client: Client) -> bool:
    backends = client.get("/v1/status")["backends"].values()
    return all(trainer["job"] is None for backend in backends for trainer in backend["trainers"])


def assert_no_model_and_idle_trainers(client: Client, settings: Settings, name: str) -> None:
    until(lambda: trainers_are_idle(client), PATIENCE_S)
    assert ModelRegistry(settings.model_dir).backends(name) == []


def test_a_running_training_is_cancelled(client: Client, settings: Settings) -> None:
    path = submit(client, "stopped-running")
    until(lambda: all(run["epoch"] >= 1 for run in client.get(path)["runs"].values()), 30)
    work = cancel(client, path)
    assert {run["status"] for run in work["runs"].values()} == {"cancelled"}
    assert_no_model_and_idle_trainers(client, settings, "stopped-running")
    assert all(0 < run["epoch"] < 1000 for run in client.get(path)["runs"].values())


def test_a_queued_training_is_cancelled_and_never_begins(client: Client, settings: Settings) -> None:
    first = submit(client, "in-front")
    until(lambda: client.get(first)["status"] == "running", 10)
    queued = submit(client, "stopped-queued")
    assert client.get(queued)["status"] == "queued"
    work = cancel(client, queued)
    assert client.get(first)["status"] == "running"
    cancel(client, first)
    assert_no_model_and_idle_trainers(client, settings, "stopped-queued")
    assert client.get(queued) == work
    assert all(run["history"] == [] for run in work["runs"].values())


@pytest.mark.parametrize("delay_s", [0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32])
def test_a_starting_training_is_cancelled_at_whatever_moment(
    client: Client, settings: Settings, delay_s: float
) -> None:
    until(lambda: trainers_are_idle(client), 10)
    path = submit(client, "stopped-starting")
    time.sleep(delay_s)
    cancel(client, path)
    assert_no_model_and_idle_trainers(client, settings, "stopped-starting")


def test_the_next_training_begins_at_once(client: Client) -> None:
    path = submit(client, "cut-short")
    cancel(client, path)
    training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "cut-short"})
    assert client.follow(f"/v1/trainings/{training['id']}")["status"] == "succeeded"
    assert training["version"] == 2  # the cancelled one leaves a gap


def test_cancelling_again_changes_nothing(client: Client) -> None:
    path = submit(client, "cancelled-twice")
    assert cancel(client, path)["runs"] == cancel(client, path)["runs"]


def test_what_has_succeeded_cannot_be_cancelled(client: Client, digits_model: dict) -> None:
    answer = requests.post(f"{client.url}/v1/trainings/{digits_model['id']}/cancel", timeout=10)
    assert answer.status_code == 409
    assert "has succeeded already" in answer.json()["detail"]
    assert client.get(f"/v1/trainings/{digits_model['id']}")["status"] == "succeeded"
