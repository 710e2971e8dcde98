"""The alias `stable`: a client sets it to release a version, and uses it wherever a version number is accepted."""

import pytest
import requests

from services.cli.client import Client
from tests.polling import wait_until

pytestmark = pytest.mark.stack

MODEL = "released"


@pytest.fixture(scope="module")
def versions(client: Client) -> list[int]:
    """Train two different versions of a model and return their numbers."""
    found = []
    for seed in (1, 2):
        request = {"network": "article", "dataset": "digits", "epochs": 1, "seed": seed, "name": MODEL}
        found.append(client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")["version"])
    return found


def set_alias(client: Client, version: object, model: str = MODEL, alias: str = "stable") -> requests.Response:
    url = f"{client.url}/v1/models/{model}/aliases/{alias}"
    return requests.put(url, json={"version": version}, timeout=10)


def predicted_by(client: Client, version: str) -> set[int]:
    """Return the versions that answered a prediction."""
    with open("samples/seven-8x8.png", "rb") as picture:
        url = f"{client.url}/v1/predictions?model={MODEL}{version}"
        answer = requests.post(url, files={"image": picture}, timeout=10)
    answer.raise_for_status()
    return {result["version"] for result in answer.json()["images"][0]["results"].values()}


def test_using_an_alias_before_it_is_set_is_refused_with_how_to_set_it(client: Client, versions: list[int]) -> None:
    answer = requests.post(f"{client.url}/v1/evaluations", json={"model": MODEL, "version": "stable"}, timeout=10)
    assert answer.status_code == 404
    assert "PUT" in answer.json()["detail"]


def test_the_alias_moves_to_a_newer_version_and_back(client: Client, versions: list[int]) -> None:
    old, new = versions
    for version in (new, old):
        answer = set_alias(client, version)
        assert answer.status_code == 200
        assert set(answer.json()["backends"]) == {"tensorflow", "pytorch"}
        assert predicted_by(client, "&version=stable") == {version}
    assert predicted_by(client, "") == {new}, "without a version, the newest one is used"
    assert client.get(f"/v1/models/{MODEL}")["aliases"] == {"stable": old}


def test_evaluations_load_tests_and_inferences_accept_the_alias_as_version(client: Client, versions: list[int]) -> None:
    old, _ = versions
    set_alias(client, old)
    evaluation = client.post("/v1/evaluations", {"model": MODEL, "version": "stable"})
    assert client.follow(f"/v1/evaluations/{evaluation['id']}")["version"] == old
    test = client.post("/v1/loadtests", {"model": MODEL, "version": "stable", "target_qps": [10], "duration_s": 1})
    assert client.follow(f"/v1/loadtests/{test['id']}")["version"] == old
    pixels = [[[[0]] * 8] * 8]
    infer = {"inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": pixels}]}
    assert client.post(f"/v2/models/{MODEL}/versions/stable/infer", infer)["model_version"] == str(old)


def test_the_stable_version_cannot_be_deleted(client: Client, versions: list[int]) -> None:
    old, _ = versions
    set_alias(client, old)
    answer = requests.delete(f"{client.url}/v1/models/{MODEL}/pytorch/{old}", timeout=10)
    assert answer.status_code == 409
    assert "stable" in answer.json()["detail"]


def test_a_version_whose_deletion_is_queued_cannot_become_stable(client: Client) -> None:
    name = "deleted-and-released"
    request = {"network": "article", "dataset": "digits", "epochs": 1, "name": name}
    for _ in range(2):
        client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    endless = {"dataset": "digits", "epochs": 1000, "batch_size": 1, "backends": ["pytorch"], "name": "keeps-busy"}
    busy = f"/v1/trainings/{client.post('/v1/trainings', endless)['id']}"
    wait_until(lambda: client.get(busy)["status"] == "running", message="the training did not start")
    deleted = requests.delete(f"{client.url}/v1/models/{name}/pytorch/1", timeout=10)
    assert deleted.status_code == 202
    refused = set_alias(client, 1, name)
    assert refused.status_code == 409
    assert "is being deleted" in refused.json()["detail"]
    assert set_alias(client, 2, name).status_code == 200
    requests.post(f"{client.url}{busy}/cancel", timeout=10).raise_for_status()
    client.follow(deleted.headers["Location"])
    assert set_alias(client, 1, name).status_code == 200, "tensorflow still has the version"


@pytest.mark.parametrize(
    ("version", "model", "alias", "status"),
    [(99, MODEL, "stable", 404), (1, "nobody", "stable", 404), ("1", MODEL, "stable", 422), (1, MODEL, "best", 422)],
)
def test_an_alias_is_refused_for_an_unknown_version_model_or_alias(
    client: Client, versions: list[int], version: object, model: str, alias: str, status: int
) -> None:
    answer = set_alias(client, version, model, alias)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
