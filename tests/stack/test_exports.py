"""Exports of models: files that are verified before they are given out, and that go when their model goes."""

import hashlib
import os
import signal

import pytest
import requests
from redis import Redis

from services.cli.client import Client, ClientError
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_work_horses

pytestmark = pytest.mark.stack

FORMATS = {"tensorflow": ["onnx", "html", "savedmodel", "litert", "litert-int8"], "pytorch": ["onnx", "html", "pt2"]}
EACH = [(backend, name) for backend, names in FORMATS.items() for name in names]


def path_of(model: str, backend: str, version: int = 1) -> str:
    return f"/v1/models/{model}/{backend}/{version}/exports"


def export(client: Client, model: str, backend: str, format_name: str) -> dict:
    job = client.post(path_of(model, backend), {"format": format_name})
    return client.follow(f"/v1/exports/{job['id']}")


def download(client: Client, model: str, backend: str, format_name: str) -> requests.Response:
    return requests.get(f"{client.url}{path_of(model, backend)}/{format_name}", timeout=10)


@pytest.mark.parametrize(("backend", "format_name"), EACH)
def test_a_file_answers_the_whole_test_split_as_its_model_does(
    client: Client, digits_model: dict, backend: str, format_name: str
) -> None:
    done = export(client, "mlp-digits", backend, format_name)
    found = done["verification"]
    assert (done["status"], found["dataset"], found["examples"]) == ("succeeded", "digits", 360)
    accuracy = digits_model["runs"][backend]["history"][-1]["test_accuracy"]
    assert found["accuracy"]["model"] == accuracy
    if format_name == "litert-int8":
        assert abs(found["accuracy"]["export"] - accuracy) < 0.02
        assert set(found["mcnemar"]["only"]) == {"model", "export"}
        assert found["size_ratio"] > 2.5
    else:
        assert found["same_class"] == 360
        assert found["max_probability_difference"] < 1e-5
        assert (found["mcnemar"], found["disagreements"]) == (None, [])
    file = download(client, "mlp-digits", backend, format_name)
    assert len(file.content) == done["file"]["size"]
    assert hashlib.sha256(file.content).hexdigest() == done["file"]["sha256"]
    assert file.headers["Content-Disposition"] == f'attachment; filename="{done["file"]["name"]}"'
    assert done["file"]["name"].startswith(f"mlp-digits-1-{backend}.")
    listed = {each["format"]: each for each in client.get(path_of("mlp-digits", backend))["exports"]}
    assert listed[format_name]["file"] == done["file"]
    assert listed[format_name]["verification"] == found


def test_a_model_lists_the_formats_of_its_backend(client: Client, digits_model: dict) -> None:
    for backend, names in FORMATS.items():
        listed = [each["format"] for each in client.get(path_of("mlp-digits", backend))["formats"]]
        assert set(names) <= set(listed)
        with pytest.raises(ClientError, match=f"{backend} has no format 'tarball': choose one of {', '.join(listed)}"):
            client.post(path_of("mlp-digits", backend), {"format": "tarball"})


def test_equal_weights_of_both_backends_become_files_of_equal_bytes(client: Client, digits_model: dict) -> None:
    moved = client.post("/v1/models/mlp-digits/pytorch/1/transplant", {"to": "tensorflow"})
    version = client.follow(f"/v1/transplants/{moved['id']}")["model"]["version"]
    job = client.post(path_of("mlp-digits", "tensorflow", version), {"format": "onnx"})
    one = client.follow(f"/v1/exports/{job['id']}")["file"]
    assert one["sha256"] == export(client, "mlp-digits", "pytorch", "onnx")["file"]["sha256"]


def test_a_damaged_file_is_not_given_out_until_it_is_exported_again(
    client: Client, settings: Settings, digits_model: dict
) -> None:
    export(client, "mlp-digits", "pytorch", "onnx")
    (file,) = (settings.model_dir / ".exports/mlp-digits/pytorch/1/onnx").glob("*.onnx")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    answer = download(client, "mlp-digits", "pytorch", "onnx")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "export the model again" in answer.json()["detail"]
    export(client, "mlp-digits", "pytorch", "onnx")
    assert download(client, "mlp-digits", "pytorch", "onnx").status_code == 200


def test_an_export_whose_process_is_killed_is_repeated_and_a_waiting_one_is_cancelled(
    client: Client, redis: Redis, settings: Settings, digits_model: dict
) -> None:
    path = path_of("mlp-digits", "pytorch")
    killed, waiting = (f"/v1/exports/{client.post(path, {'format': 'pt2'})['id']}" for _ in range(2))
    wait_until(lambda: client.get(killed)["status"] == "running", message="the export did not begin")
    (horse,) = find_work_horses(redis)
    assert client.post(f"{waiting}/cancel", {})["status"] == "cancelled"
    os.kill(horse, signal.SIGKILL)
    assert client.follow(killed)["verification"]["same_class"] == 360
    assert client.get(waiting)["status"] == "cancelled"
    folder = settings.model_dir / ".exports/mlp-digits/pytorch/1/pt2"
    assert sorted(file.suffix for file in folder.iterdir()) == [".json", ".pt2"]
    with pytest.raises(ClientError, match="has succeeded already"):
        client.post(f"{killed}/cancel", {})


def test_the_exports_of_a_model_are_deleted_with_it(client: Client, settings: Settings) -> None:
    request = {
        "network": "article",
        "dataset": "digits",
        "epochs": 1,
        "name": "exported-and-deleted",
        "backends": ["pytorch"],
    }
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    export(client, "exported-and-deleted", "pytorch", "onnx")
    answer = requests.delete(f"{client.url}/v1/models/exported-and-deleted/pytorch/1", timeout=10)
    client.follow(answer.headers["Location"])
    assert download(client, "exported-and-deleted", "pytorch", "onnx").status_code == 404
    assert not (settings.model_dir / ".exports/exported-and-deleted/pytorch/1").exists()
