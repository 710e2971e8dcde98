"""Exports of models: files that are verified before they are given out, and that go when their model goes."""

import hashlib

import pytest
import requests

from services.cli.client import Client, ClientError

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
