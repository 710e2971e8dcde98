"""Transplants: a backend's weights are published for another backend, with a proof that the predictions agree."""

from pathlib import Path

import pytest
import requests
from safetensors.numpy import load

from services.cli.client import Client, ClientError
from tests.polling import wait_until

pytestmark = pytest.mark.stack

NETWORK = {
    "input_shape": [8, 8, 1],
    "layers": [
        {"kind": "conv2d", "filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
        {"kind": "batch_norm"},
        {"kind": "flatten"},
        {"kind": "dropout", "rate": 0.2},
        {"kind": "dense", "units": 10},
    ],
}


def train(client: Client, name: str, backends: list[str]) -> None:
    request = {"network": NETWORK, "dataset": "digits", "epochs": 3, "name": name, "backends": backends}
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")


def transplant(client: Client, name: str, source: str, to: str) -> dict:
    answer = client.post(f"/v1/models/{name}/{source}/1/transplant", {"to": to})
    return client.follow(f"/v1/transplants/{answer['id']}")


def weights(client: Client, name: str, backend: str, version: int) -> dict:
    url = f"{client.url}/v1/models/{name}/{backend}/{version}/weights.safetensors"
    return load(requests.get(url, timeout=10).content)


@pytest.mark.parametrize(("source", "to"), [("pytorch", "tensorflow"), ("tensorflow", "pytorch")])
def test_a_transplanted_model_has_the_same_weights_and_predictions(client: Client, source: str, to: str) -> None:
    name = f"transplanted-to-{to}-here"
    train(client, name, [source])
    moved = transplant(client, name, source, to)
    assert moved["model"] == {"name": name, "backend": to, "version": 1}
    assert moved["proof"]["same_class"] == moved["proof"]["examples"] == 360
    assert moved["proof"]["max_probability_difference"] < 1e-5
    one, other = (weights(client, name, backend, 1) for backend in (source, to))
    assert all((one[kernel] == other[kernel]).all() for kernel in one)
    manifest = client.get(f"/v1/models/{name}")["manifests"][to]
    assert manifest["transplanted_from"]["backend"] == source
    assert manifest["transplanted_from"]["max_probability_difference"] == moved["proof"]["max_probability_difference"]
    answer = client.predict(name, Path("samples/seven-8x8.png"))
    assert answer["images"][0]["agree"] is True


def test_if_the_target_has_that_version_the_transplant_gets_the_next_one(client: Client) -> None:
    train(client, "transplanted-beside", ["tensorflow", "pytorch"])
    moved = transplant(client, "transplanted-beside", "pytorch", "tensorflow")
    assert moved["model"]["version"] == 2
    assert client.get("/v1/models/transplanted-beside")["versions"] == {"tensorflow": [1, 2], "pytorch": [1]}
    one, other = (
        weights(client, "transplanted-beside", "pytorch", 1),
        weights(client, "transplanted-beside", "tensorflow", 2),
    )
    assert all((one[name] == other[name]).all() for name in one)


def test_a_transplant_is_refused_while_the_target_still_trains_that_version(client: Client) -> None:
    request = {"dataset": "digits", "name": "not-yet", "epochs": 1}
    training = client.post("/v1/trainings", {**request, "network": NETWORK, "epochs": 1000, "backends": ["tensorflow"]})
    both = client.post("/v1/trainings", request)  # TensorFlow's run waits behind the long one
    path = f"/v1/trainings/{both['id']}"
    wait_until(
        lambda: client.get(path)["runs"]["pytorch"]["status"] == "succeeded", message="PyTorch's run did not succeed"
    )
    version = both["version"]
    with pytest.raises(ClientError, match="has not ended"):
        client.post(f"/v1/models/not-yet/pytorch/{version}/transplant", {"to": "tensorflow"})
    client.post(f"/v1/trainings/{training['id']}/cancel", {})
    client.follow(path)
