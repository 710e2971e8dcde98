"""The starter model is published on an empty volume: the first prediction needs no training and no network."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image, ImageChops

from services.cli.client import Client
from services.stack.stack import Stack
from shared.models.registry import ModelRegistry
from shared.models.starter import STARTER_FOLDER, STARTER_NAME
from shared.settings import Settings
from tests.polling import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True, scope="module")
def wait_for_publication(client: Client, stack: Stack) -> None:
    """Wait until every trainer has started and has published the starter model."""

    def is_published_by_all() -> bool:
        models = {model["name"]: set(model["versions"]) for model in client.get("/v1/models")["models"]}
        return models.get(STARTER_NAME) == set(stack.settings.backends)

    wait_until(is_published_by_all, message="the starter model was not published", every_s=0.2)


def test_the_first_prediction_is_correct_in_every_backend(client: Client, stack: Stack) -> None:
    prediction = client.predict(STARTER_NAME, Path("samples/seven.png"))
    (image,) = prediction["images"]
    assert prediction["errors"] == {}
    assert {backend: result["label"] for backend, result in image["results"].items()} == dict.fromkeys(
        stack.settings.backends, 7
    )
    assert image["agree"]


def test_a_photograph_is_converted_and_the_converted_image_is_returned(client: Client, stack: Stack) -> None:
    """The photograph shows the sample enlarged, on light paper, off centre. It is converted back to the sample."""
    sample = Image.open("samples/seven.png").convert("L")
    photograph = Image.new("L", (700, 500), 225)
    photograph.paste(ImageChops.subtract(photograph.crop((0, 0, 280, 280)), sample.resize((280, 280))), (330, 60))
    url = f"{client.url}/v1/predictions?model={STARTER_NAME}&prepared=true"
    body = io.BytesIO()
    photograph.save(body, "JPEG")
    answer = requests.post(url, files=[("image", ("photograph.jpg", body.getvalue()))], timeout=30)
    answer.raise_for_status()
    (found,) = answer.json()["images"]
    assert {result["label"] for result in found["results"].values()} == {7}
    assert found["warnings"] == []
    scheme, data = found["prepared"].split(",")
    assert scheme == "data:image/png;base64"
    seen = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (seen.mode, seen.size) == ("L", (28, 28))
    assert np.corrcoef(np.asarray(seen).ravel(), np.asarray(sample).ravel())[0, 1] > 0.9
    assert "prepare;dur=" in answer.headers["Server-Timing"]
    assert client.predict(STARTER_NAME, Path("samples/seven.png"))["images"][0]["prepared"] is None


def test_every_backend_publishes_the_weights_of_the_repository(settings: Settings) -> None:
    registry = ModelRegistry(settings.model_dir)
    published = {registry.read_weights_file(STARTER_NAME, backend, 1) for backend in settings.backends}
    assert published == {(STARTER_FOLDER / "weights.safetensors").read_bytes()}
