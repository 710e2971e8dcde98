"""Idempotency-Key: requests with the same key create one job, and all get the first response."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests

from services.cli.client import Client

pytestmark = pytest.mark.stack

REQUEST = {"dataset": "digits", "epochs": 1, "name": "once"}


def submit(client: Client, key: str, request: dict, kind: str = "trainings") -> requests.Response:
    return requests.post(f"{client.url}/v1/{kind}", json=request, headers={"Idempotency-Key": key}, timeout=30)


def count_trainings(client: Client) -> int:
    return sum(training["name"] == "once" for training in client.get("/v1/trainings")["trainings"])


def test_two_simultaneous_requests_with_one_key_create_one_training(client: Client) -> None:
    """Repeated sixteen times, because a race need not show the first time."""
    before = count_trainings(client)
    ids, versions = [], []
    for _ in range(16):
        key = uuid4().hex
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(lambda key: submit(client, key, REQUEST), [key, key])
        assert one.status_code == other.status_code == 202
        assert one.headers["Location"] == other.headers["Location"]
        assert one.json()["version"] == other.json()["version"]
        ids.append(one.json()["id"])
        versions.append(one.json()["version"])
    assert count_trainings(client) - before == len(set(ids)) == 16
    assert versions == list(range(versions[0], versions[0] + 16)), "a version number was allocated and not used"
    for identity in ids:
        assert client.follow(f"/v1/trainings/{identity}")["status"] == "succeeded"


def test_without_a_key_every_request_creates_a_training_with_its_own_version(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/trainings", REQUEST), range(8)))
    versions = sorted(answer["version"] for answer in answers)
    assert versions == list(range(versions[0], versions[0] + 8))
    for answer in answers:
        client.follow(f"/v1/trainings/{answer['id']}")


def test_a_key_that_was_used_for_another_request_is_refused(client: Client) -> None:
    key = uuid4().hex
    first = submit(client, key, REQUEST)
    answer = submit(client, key, {**REQUEST, "epochs": 2})
    assert answer.status_code == 422
    assert "take a new key" in answer.json()["detail"]
    client.follow(first.headers["Location"])


@pytest.mark.parametrize("key", ["", "x" * 256], ids=["empty", "too long"])
def test_an_invalid_request_with_an_empty_or_too_long_key_is_refused(client: Client, key: str) -> None:
    answer = submit(client, key, {**REQUEST, "epochs": 0})
    assert answer.status_code == 422


def test_evaluations_accept_a_key_too(client: Client, digits_model: dict) -> None:
    key = uuid4().hex
    ids = {submit(client, key, {"model": "mlp-digits"}, "evaluations").json()["id"] for _ in range(3)}
    assert len(ids) == 1
    client.follow(f"/v1/evaluations/{ids.pop()}")
