"""Uploaded datasets on a running stack: both backends train on them, and no training mixes old and new pictures."""

from pathlib import Path

import pytest
import requests

from services.cli.client import Client
from shared.settings import Settings
from tests.polling import wait_until
from tests.unit.data.zip_files import pack, pictures_of

pytestmark = pytest.mark.stack

SLOW = {"network": "mlp", "dataset": "shades", "epochs": 1000, "batch_size": 1, "name": "shades"}


def put(client: Client, content: bytes) -> dict:
    """Upload a zip file as the dataset `shades`, and return what the gateway says of it."""
    answer = requests.put(f"{client.url}/v1/datasets/shades", data=content, timeout=120)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def versions(settings: Settings) -> set[str]:
    """Return the names of the folders with versions of uploaded datasets."""
    return {path.name for path in (settings.upload_dir / "versions").iterdir()}


def test_both_backends_train_on_an_upload_and_go_on_when_it_is_replaced_and_deleted(
    client: Client, settings: Settings
) -> None:
    put(client, pack(pictures_of("dark", "light", count=60)))
    (first,) = versions(settings)
    training = client.post("/v1/trainings", {**SLOW, "epochs": 30})
    path = f"/v1/trainings/{training['id']}"
    replaced = put(client, pack(pictures_of("dark", "light", "other", count=10)))
    assert replaced["classes"] == ["dark", "light", "other"]
    training = client.follow(path)
    assert training["status"] == "succeeded"
    (comparison,) = training["comparisons"]
    assert comparison["backends"] == ["tensorflow", "pytorch"]
    for manifest in client.get("/v1/models/shades")["manifests"].values():
        assert manifest["classes"] == ["dark", "light"]

    evaluation = {"model": "shades"}
    answer = requests.post(f"{client.url}/v1/evaluations", json=evaluation, timeout=30)
    assert answer.status_code == 409, "the new pictures have another class"
    assert requests.delete(f"{client.url}/v1/datasets/shades", timeout=30).status_code == 204
    assert first not in versions(settings), "no job needs the old version any more"
    answer = requests.post(f"{client.url}/v1/evaluations", json=evaluation, timeout=30)
    assert answer.status_code == 409
    assert "upload it again" in answer.json()["detail"]
    prediction = client.predict("shades", _picture(settings))
    assert prediction["errors"] == {}


def test_every_trial_of_a_search_reads_the_pictures_from_its_start(client: Client, settings: Settings) -> None:
    uploaded = put(client, pack(pictures_of("dark", "light", count=60)))
    space = {"optimizer.learning_rate": {"log_range": [0.01, 0.1]}}
    asked = {"dataset": "shades", "space": space, "trials": 3, "epochs": 1, "training": {"network": "mlp"}}
    search = client.post("/v1/searches", asked)
    try:
        put(client, pack(pictures_of("dark", "light", "other", count=10)))
        found = client.follow(f"/v1/searches/{search['id']}")
        read = [client.get(f"/v1/trainings/{trial['training']}")["request"] for trial in found["trials"]]
        assert [request["data_version"] for request in read] == [uploaded["version"]] * 3
        for manifest in client.get("/v1/models/search-shades")["manifests"].values():
            assert manifest["classes"] == ["dark", "light"]
    finally:
        assert requests.delete(f"{client.url}/v1/datasets/shades", timeout=30).status_code == 204
    answer = requests.post(f"{client.url}/v1/trainings", json=read[0] | {"name": "late"}, timeout=30)
    assert answer.status_code == 409
    assert "replaced or deleted since" in answer.json()["detail"]


def _picture(settings: Settings) -> Path:
    path = settings.state_dir / "dark.png"
    path.write_bytes(pictures_of("dark", count=1)["dark/0.png"])
    return path


def test_an_old_version_is_kept_while_a_job_that_has_not_ended_reads_it(client: Client, settings: Settings) -> None:
    put(client, pack(pictures_of("dark", "light", count=60)))
    (kept,) = versions(settings)
    training = client.post("/v1/trainings", SLOW)
    path = f"/v1/trainings/{training['id']}"
    try:
        put(client, pack(pictures_of("dark", "light", count=20)))
        assert requests.delete(f"{client.url}/v1/datasets/shades", timeout=30).status_code == 204
        assert versions(settings) == {kept}
        wait_until(
            lambda: all(run["epoch"] or run["status"] == "failed" for run in client.get(path)["runs"].values()),
            message="the training has not begun",
            timeout_s=120,
        )
        assert {run["error"] for run in client.get(path)["runs"].values()} == {None}
    finally:
        client.post(f"{path}/cancel", {})
    put(client, pack(pictures_of("a", "b")))
    requests.delete(f"{client.url}/v1/datasets/shades", timeout=30)
    assert versions(settings) == set()
