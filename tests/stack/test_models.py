"""Published models: downloading their weights, and deleting them."""

import numpy as np
import pytest
import requests
from safetensors.numpy import load

from services.cli.client import Client, ClientError
from shared.models.registry import ModelRegistry
from shared.settings import Settings

pytestmark = pytest.mark.stack


def test_the_weights_are_a_safetensors_file_in_the_canonical_layout(client: Client, digits_model: dict) -> None:
    version = digits_model["version"]
    found = {}
    for backend in digits_model["runs"]:
        answer = requests.get(f"{client.url}/v1/models/mlp-digits/{backend}/{version}/weights.safetensors", timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/octet-stream"
        found[backend] = load(answer.content)
        again = {"If-None-Match": answer.headers["ETag"]}
        assert requests.get(answer.url, headers=again, timeout=10).status_code == 304
    one, other = found.values()
    assert {name: array.shape for name, array in one.items()} == {
        "layers.1.kernel": (64, 128),
        "layers.1.bias": (128,),
        "layers.2.kernel": (128, 10),
        "layers.2.bias": (10,),
    }
    for name in one:
        np.testing.assert_allclose(
            one[name], other[name], atol=1e-3
        )  # rounding errors; another layout would differ far more


def test_deleting_a_version_keeps_the_other_backends_model_and_never_frees_the_number(
    client: Client, settings: Settings
) -> None:
    training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "short-lived"})
    client.follow(f"/v1/trainings/{training['id']}")
    answer = requests.delete(f"{client.url}/v1/models/short-lived/pytorch/1", timeout=10)
    assert answer.status_code == 202
    deletion = client.follow(answer.headers["Location"])
    assert deletion["model"] == {"name": "short-lived", "backend": "pytorch", "version": 1}
    assert client.get("/v1/models/short-lived")["versions"] == {"tensorflow": [1]}
    assert requests.delete(f"{client.url}/v1/models/short-lived/pytorch/1", timeout=10).status_code == 404
    with pytest.raises(ClientError, match="not published by pytorch: name only the backends that have it, tensorflow"):
        client.post("/v1/evaluations", {"model": "short-lived"})
    assert not list(ModelRegistry(settings.model_dir).root.glob("short-lived/pytorch/.tmp-*"))
    again = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "short-lived"})
    assert again["version"] == 2, "a version number is never reused"
    client.follow(f"/v1/trainings/{again['id']}")


def test_a_deleted_model_is_no_longer_listed(client: Client) -> None:
    request = {"dataset": "digits", "epochs": 1, "name": "gone", "backends": ["tensorflow"]}
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    answer = requests.delete(f"{client.url}/v1/models/gone/tensorflow/1", timeout=10)
    client.follow(answer.headers["Location"])
    assert "gone" not in {model["name"] for model in client.get("/v1/models")["models"]}
