"""An empty volume begins with a model, so that the first prediction needs no training and no network."""

import time
from pathlib import Path

import pytest

from services.cli.client import Client
from services.stack.stack import Stack
from shared.settings import Settings
from shared.store import Store
from shared.welcome import NAME, PLACE

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True, scope="module")
def published(client: Client, stack: Stack) -> None:
    """The trainers publish it as soon as they have started."""
    deadline = time.monotonic() + 60
    while {model["name"]: set(model["versions"]) for model in client.get("/v1/models")["models"]}.get(NAME) != set(
        stack.settings.backends
    ):
        assert time.monotonic() < deadline, "the welcome model was not published"
        time.sleep(0.2)


def test_the_first_prediction_is_right_in_every_backend(client: Client, stack: Stack) -> None:
    prediction = client.predict(NAME, Path("samples/seven.png"))
    (image,) = prediction["images"]
    assert prediction["errors"] == {}
    assert {backend: result["label"] for backend, result in image["results"].items()} == dict.fromkeys(
        stack.settings.backends, 7
    )
    assert image["agree"]


def test_every_backend_has_the_weights_of_the_repository(settings: Settings) -> None:
    store = Store(settings.model_dir)
    theirs = {store.weights_file(NAME, backend, 1) for backend in settings.backends}
    assert theirs == {(PLACE / "weights.safetensors").read_bytes()}
