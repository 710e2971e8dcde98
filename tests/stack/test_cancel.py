"""Cancelling ends a run in any state, and the run publishes no model."""

import time

import pytest
import requests

from services.cli.client import Client
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.polling import wait_until

pytestmark = pytest.mark.stack

ENDLESS = {"dataset": "digits", "epochs": 1000, "batch_size": 1}


def submit(client: Client, name: str) -> str:
    """Submit a training that would take very long and return its path."""
    return f"/v1/trainings/{client.post('/v1/trainings', {**ENDLESS, 'name': name})['id']}"


def cancel(client: Client, path: str) -> dict:
    """Cancel a training, wait until it is cancelled and return it."""
    answer = requests.post(f"{client.url}{path}/cancel", timeout=10)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == path
    wait_until(lambda: client.get(path)["status"] == "cancelled", message=f"{path} was not cancelled")
    return client.get(path)


def trainers_are_idle(client: Client) -> bool:
    backends = client.get("/v1/status")["backends"].values()
    return all(trainer["job"] is None for backend in backends for trainer in backend["trainers"])


def assert_no_model_and_idle_trainers(client: Client, settings: Settings, name: str) -> None:
    wait_until(lambda: trainers_are_idle(client), message="the trainers did not become idle")
    assert ModelRegistry(settings.model_dir).backends(name) == []


def test_a_running_training_is_cancelled(client: Client, settings: Settings) -> None:
    path = submit(client, "stopped-running")
    wait_until(
        lambda: all(run["epoch"] >= 1 for run in client.get(path)["runs"].values()), message="no epoch was trained"
    )
    work = cancel(client, path)
    assert {run["status"] for run in work["runs"].values()} == {"cancelled"}
    assert_no_model_and_idle_trainers(client, settings, "stopped-running")
    assert all(0 < run["epoch"] < 1000 for run in client.get(path)["runs"].values())


def test_a_queued_training_is_cancelled_and_never_starts(client: Client, settings: Settings) -> None:
    first = submit(client, "ahead-in-queue")
    wait_until(lambda: client.get(first)["status"] == "running", message="the first training did not start")
    queued = submit(client, "stopped-queued")
    assert client.get(queued)["status"] == "queued"
    work = cancel(client, queued)
    assert client.get(first)["status"] == "running"
    cancel(client, first)
    assert_no_model_and_idle_trainers(client, settings, "stopped-queued")
    assert client.get(queued) == work
    assert all(run["history"] == [] for run in work["runs"].values())


@pytest.mark.parametrize("delay_s", [0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32])
def test_a_training_is_cancelled_at_any_moment_of_its_start(client: Client, settings: Settings, delay_s: float) -> None:
    """The delays cover the queue, the fork of the worker process and the first batches."""
    wait_until(lambda: trainers_are_idle(client), message="the trainers did not become idle")
    path = submit(client, "stopped-starting")
    time.sleep(delay_s)
    cancel(client, path)
    assert_no_model_and_idle_trainers(client, settings, "stopped-starting")


def test_the_training_after_a_cancelled_one_succeeds(client: Client) -> None:
    path = submit(client, "cut-short")
    cancel(client, path)
    training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "cut-short"})
    assert client.follow(f"/v1/trainings/{training['id']}")["status"] == "succeeded"
    assert training["version"] == 2  # the cancelled training keeps version 1


def test_cancelling_twice_changes_nothing(client: Client) -> None:
    path = submit(client, "cancelled-twice")
    assert cancel(client, path)["runs"] == cancel(client, path)["runs"]


def test_a_succeeded_training_cannot_be_cancelled(client: Client, digits_model: dict) -> None:
    answer = requests.post(f"{client.url}/v1/trainings/{digits_model['id']}/cancel", timeout=10)
    assert answer.status_code == 409
    assert "has succeeded already" in answer.json()["detail"]
    assert client.get(f"/v1/trainings/{digits_model['id']}")["status"] == "succeeded"
