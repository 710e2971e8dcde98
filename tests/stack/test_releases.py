"""Releases on a running stack: from data to `stable` in one request, back again, and through kills and interference."""

import os
import signal

import pytest
import requests
from redis import Redis

from services.cli.client import Client
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_processes, find_work_horses

pytestmark = pytest.mark.stack

TRAINING = {
    "network": "mlp",
    "dataset": "digits",
    "epochs": 10,
    "batch_size": 32,
    "optimizer": {"name": "adam", "learning_rate": 0.002},
}
# The machine of the tests is busy: a bound that only a hanging predictor exceeds.
GATES = {"latency": {"rate": 5, "bound_ms": 20_000, "duration_s": 1}}


def submit(client: Client, name: str, seed: int, **gates: object) -> str:
    """Submit a training and its release; return the path of the release."""
    request = {"train": {**TRAINING, "name": name, "seed": seed}, "gates": {**GATES, **gates}}
    return f"/v1/releases/{client.post('/v1/releases', request)['id']}"


def watch(client: Client, path: str) -> dict:
    """Return a release after its end, however it ends."""
    *_, release = client.watch(path)
    return release


def read_stable(client: Client, name: str) -> int | None:
    return client.get(f"/v1/models/{name}")["aliases"].get("stable")


def gates_of(release: dict) -> dict[str, str]:
    return {gate["gate"]: gate["status"] for gate in release["gates"]}


def test_from_data_to_a_release_in_one_request_and_back(client: Client) -> None:
    path = submit(client, "delivered", 0)
    first = watch(client, path)
    passed = dict.fromkeys(("data", "accuracy", "parity", "golden"), "passed")
    assert gates_of(first) == {**passed, "exports": "skipped", "latency": "passed"}, first["error"]
    assert first["stable"] == {"before": None, "after": first["version"]}
    assert client.get(f"/v1/trainings/{first['training']}")["version"] == first["version"]
    assert read_stable(client, "delivered") == first["version"]

    second_path = submit(client, "delivered", 1, exports=["onnx"])
    second = watch(client, second_path)
    assert gates_of(second)["exports"] == "passed", second["error"]
    assert second["stable"] == {"before": first["version"], "after": second["version"]}
    assert requests.post(f"{client.url}{path}/revert", timeout=10).status_code == 409, "`stable` has moved since"
    reverted = client.post(f"{second_path}/revert", {})
    assert reverted["reverted_at"]
    assert read_stable(client, "delivered") == first["version"]
    again = requests.post(f"{client.url}{second_path}/revert", timeout=10)
    assert (again.status_code, "reverted" in again.json()["detail"]) == (409, True)
    client.post(f"{path}/revert", {})
    assert read_stable(client, "delivered") is None, "the first release made `stable`"


def test_a_failed_gate_keeps_stable_and_shows_pictures(client: Client) -> None:
    stable = watch(client, submit(client, "kept", 0))["version"]
    request = {**TRAINING, "name": "kept", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.01}}
    worse = client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")["version"]
    release = client.post("/v1/releases", {"model": "kept", "version": worse, "gates": GATES})
    release = watch(client, f"/v1/releases/{release['id']}")
    assert release["status"] == "failed"
    assert release["error"].startswith("gate accuracy: ")
    assert gates_of(release)["parity"] == "waiting"
    (accuracy,) = (gate for gate in release["gates"] if gate["gate"] == "accuracy")
    assert accuracy["figures"]["backends"]["pytorch"]["loss"] > 0.1
    picture = accuracy["pictures"][0]
    shown = f"{client.url}/v1/datasets/{release['dataset']}/pictures/{picture['split']}/{picture['index']}.png"
    assert requests.get(shown, timeout=10).status_code == 200
    assert read_stable(client, "kept") == stable


def test_a_release_goes_on_after_its_process_was_killed(client: Client, redis: Redis, settings: Settings) -> None:
    path = submit(client, "release-killed", 0)
    for gate in ("data", "golden"):
        wait_until(lambda gate=gate: gates_of(client.get(path))[gate] != "waiting", message=f"{gate} did not begin")
        for pid in (*find_work_horses(redis, "pipelines"), *find_processes(settings, "services.pipelines")):
            os.kill(pid, signal.SIGKILL)
    release = watch(client, path)
    assert release["status"] == "succeeded", release["error"]
    assert read_stable(client, "release-killed") == release["version"] == 1
    (latency,) = (gate for gate in release["gates"] if gate["gate"] == "latency")
    assert len(latency["figures"]["attempts"]) == 1


def test_a_cancelled_release_cancels_what_it_waits_for(client: Client) -> None:
    path = (
        f"/v1/releases/{client.post('/v1/releases', {'train': {**TRAINING, 'name': 'given-up', 'epochs': 1000}})['id']}"
    )
    wait_until(lambda: client.get(path)["training"], message="the training was not submitted")
    training = f"/v1/trainings/{client.get(path)['training']}"
    client.post(f"{path}/cancel", {})
    assert watch(client, path)["status"] == "cancelled"
    wait_until(lambda: client.get(training)["status"] == "cancelled", message="the training goes on")


def test_stable_that_somebody_else_moved_stays_there(client: Client) -> None:
    path = submit(client, "contested", 0)
    wait_until(lambda: client.get(path)["version"], message="the version was not trained")
    client.put("/v1/models/contested/aliases/stable", {"version": 1, "expected": None})
    other = client.follow(
        f"/v1/trainings/{client.post('/v1/trainings', {**TRAINING, 'name': 'contested', 'epochs': 1})['id']}"
    )["version"]
    client.put("/v1/models/contested/aliases/stable", {"version": other})
    release = watch(client, path)
    assert release["status"] == "failed"
    assert "moved meanwhile" in release["error"]
    assert read_stable(client, "contested") == other


def test_a_second_release_of_the_same_version_changes_nothing(client: Client) -> None:
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', {**TRAINING, 'name': 'twice', 'epochs': 1})['id']}")
    request = {"model": "twice", "gates": {**GATES, **dict.fromkeys(("data", "accuracy", "parity", "golden"))}}
    paths = [f"/v1/releases/{client.post('/v1/releases', request)['id']}" for _ in range(2)]
    first, second = (watch(client, path) for path in paths)
    assert first["status"] == "succeeded", first["error"]
    assert (second["status"], "is stable already" in second["error"]) == ("failed", True)
    client.post(f"{paths[0]}/revert", {})
    assert read_stable(client, "twice") is None


def test_an_alias_moves_only_from_the_expected_version_and_once_per_key(client: Client) -> None:
    for _ in range(2):
        training = client.post("/v1/trainings", {**TRAINING, "name": "conditional", "epochs": 1})
        client.follow(f"/v1/trainings/{training['id']}")
    url = f"{client.url}/v1/models/conditional/aliases/stable"

    def put(body: dict, key: str | None = None) -> int:
        headers = {"Idempotency-Key": key} if key else {}
        return requests.put(url, json=body, headers=headers, timeout=10).status_code

    assert put({"version": 1, "expected": 2}) == 409
    assert put({"version": 1, "expected": None}, "first") == 200
    assert put({"version": 2, "expected": None}) == 409
    assert put({"version": 2, "expected": 1}) == 200
    assert put({"version": 2, "expected": 1}) == 200, "it is there already"
    assert put({"version": 1, "expected": None}, "first") == 200
    assert read_stable(client, "conditional") == 2, "a repeated request moves nothing"
    assert put({"version": 2}, "first") == 422


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, "name either a `model`"),
        ({"model": "nobody"}, 404, "nobody"),
        ({"model": "welcome", "train": {}}, 422, "name either a `model`"),
        ({"train": {"publish": False}}, 422, "cannot be released"),
        ({"train": {"dataset": "nowhere"}}, 422, "nowhere"),
        ({"train": {"dataset": "digits"}, "version": 1}, 422, "belong to `model`"),
        ({"model": "welcome", "backends": ["pytorch"]}, 422, "name all of them"),
        ({"model": "welcome", "gates": {"data": {"max_drift": 1}}}, 422, "gates.data.max_drift"),
        ({"model": "welcome", "gates": {"exports": []}}, 422, "gates.exports"),
        ({"model": "welcome", "gates": {"exports": ["onnx", "oonx"]}}, 422, "no format 'oonx': choose from onnx"),
    ],
)
def test_a_release_that_cannot_begin_is_refused_with_what_to_change(
    client: Client, body: dict, status: int, detail: str
) -> None:
    answer = requests.post(f"{client.url}/v1/releases", json=body, timeout=10)
    assert answer.status_code == status, answer.text
    assert detail in answer.json()["detail"]
