"""Trainings with a validation share, trainings that publish nothing, and the arrays that they read."""

import numpy as np
import pytest
import requests
from safetensors.numpy import load

from services.cli.client import Client, ClientError
from services.pipelines.gateway_client import GatewayClient, RefusedError
from shared.data import datasets
from shared.settings import Settings

pytestmark = pytest.mark.stack

MLP = {"network": "mlp", "dataset": "digits", "batch_size": 32, "optimizer": {"learning_rate": 0.2, "name": "sgd"}}


def train(client: Client, **fields: object) -> dict:
    submitted = client.post("/v1/trainings", {**MLP, **fields})
    return client.follow(f"/v1/trainings/{submitted['id']}")


def test_a_training_reports_its_validation_share_and_still_publishes(client: Client) -> None:
    training = train(client, name="validated", epochs=3, validation=0.2)
    assert training["status"] == "succeeded"
    for run in training["runs"].values():
        assert run["model"]["version"] == training["version"] == 1
        for epoch in run["history"]:
            assert epoch["validation_loss"] > 0
            assert epoch["test_accuracy"] is not None
            # The share is 287 of the 1,437 pictures: each accuracy is a whole number of them.
            assert abs(epoch["validation_accuracy"] * 287 - round(epoch["validation_accuracy"] * 287)) < 1e-6
    first, second = (run["history"][-1]["validation_loss"] for run in training["runs"].values())
    assert first == pytest.approx(second, rel=1e-4)


def test_an_unpublished_training_has_no_version_no_model_and_no_test_figures(client: Client) -> None:
    training = train(client, name="unpublished", epochs=2, validation=0.25, publish=False)
    assert training["status"] == "succeeded"
    assert training["version"] is None
    for run in training["runs"].values():
        assert run["model"] is None
        assert {(epoch["test_loss"], epoch["test_accuracy"]) for epoch in run["history"]} == {(None, None)}
        assert run["history"][-1]["validation_accuracy"] > 0.5
    (comparison,) = training["comparisons"]
    assert comparison["agreement"] > 0.99
    assert comparison["max_weight_difference"] is None
    with pytest.raises(ClientError, match="unpublished"):
        client.get("/v1/models/unpublished")
    published = train(client, name="unpublished", epochs=1)
    assert published["version"] == 1  # the training before took no version


def test_without_validation_an_unpublished_training_is_not_compared(client: Client) -> None:
    training = train(client, name="unmeasured", epochs=1, publish=False)
    assert training["status"] == "succeeded"
    assert training["comparisons"] == []
    assert training["runs"]["pytorch"]["history"][0]["validation_loss"] is None


def test_a_split_is_read_in_several_answers(client: Client, settings: Settings) -> None:
    expected = datasets.read(datasets.DIGITS, "test", settings)
    url = f"{client.url}/v1/datasets/digits/arrays/test.safetensors"
    answers = [requests.get(url, {"first": first, "count": 200}, timeout=30) for first in (0, 200)]
    assert [answer.headers["X-Total"] for answer in answers] == ["360", "360"]
    parts = [load(answer.content) for answer in answers]
    assert (np.concatenate([part["images"] for part in parts]) == expected.images).all()
    assert (np.concatenate([part["labels"] for part in parts]) == expected.labels).all()
    found = GatewayClient(client.url, "").read_split("digits", "test")
    assert datasets.fingerprint(found) == datasets.fingerprint(expected)


@pytest.mark.parametrize(("query", "status"), [("first=360", 404), ("count=0", 422), ("first=-1", 422), ("x=1", 422)])
def test_a_range_that_does_not_exist_is_refused(client: Client, query: str, status: int) -> None:
    answer = requests.get(f"{client.url}/v1/datasets/digits/arrays/test.safetensors?{query}", timeout=30)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_the_pipelines_client_says_why_a_request_was_refused(client: Client) -> None:
    with pytest.raises(RefusedError, match="unknown dataset") as refused:
        GatewayClient(client.url, "").read_split("nothing", "test")
    assert refused.value.status == 422
