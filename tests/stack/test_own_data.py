"""A user's own pictures: from two folders to a prediction whose class is a folder's name."""

import io

import numpy as np
import pytest
import requests
from PIL import Image

from services.cli.client import Client
from shared.settings import Settings

pytestmark = pytest.mark.stack

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")


def draw_stripes(upright: bool, generator: np.random.Generator) -> Image.Image:
    """Draw vertical or horizontal stripes of random width, with noise, on a picture of random size."""
    height, width = generator.integers(40, 200, 2)
    y, x = np.mgrid[:height, :width]
    period = generator.integers(12, 20) / 100
    phase = (x / width if upright else y / height) / period + generator.random()
    pixels = np.where(phase % 1 < 0.5, 30, 220) + generator.normal(0, 8, (height, width))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode_picture(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def stripes_model(client: Client, settings: Settings) -> dict:
    """Write 40 pictures into two class folders, train a model with them in both backends, and return the training."""
    generator = np.random.default_rng(0)
    for name, upright in (("Längs", True), ("quer $1", False)):
        folder = settings.data_dir / "stripes" / "train" / name
        folder.mkdir(parents=True)
        for index in range(20):
            format = FORMATS[index % len(FORMATS)]
            (folder / f"{index}.{format.lower()}").write_bytes(encode_picture(draw_stripes(upright, generator), format))
    optimizer = {"name": "sgd", "learning_rate": 0.1}
    request = {"network": "mlp", "dataset": "stripes", "epochs": 60, "batch_size": 8, "optimizer": optimizer}
    training = client.post("/v1/trainings", request)
    return client.follow(f"/v1/trainings/{training['id']}")


def test_a_prediction_has_the_name_of_a_class_folder(client: Client, stripes_model: dict) -> None:
    assert stripes_model["name"] == "mlp-stripes"
    generator = np.random.default_rng(1)
    for upright, name in ((True, "Längs"), (False, "quer $1")) * 4:
        files = {"image": ("new.png", encode_picture(draw_stripes(upright, generator), "PNG"))}
        answer = requests.post(f"{client.url}/v1/predictions?model=mlp-stripes", files=files, timeout=30).json()
        assert {result["class"] for result in answer["images"][0]["results"].values()} == {name}
        assert set(answer["images"][0]["results"]) == {"tensorflow", "pytorch"}


def test_manifest_and_evaluation_have_the_class_names(client: Client, stripes_model: dict) -> None:
    for manifest in client.get("/v1/models/mlp-stripes")["manifests"].values():
        assert manifest["classes"] == ["Längs", "quer $1"]
    evaluation = client.post("/v1/evaluations", {"model": "mlp-stripes"})
    evaluation = client.follow(f"/v1/evaluations/{evaluation['id']}")
    for result in evaluation["results"].values():
        assert [figures["class"] for figures in result["per_class"]] == ["Längs", "quer $1"]
        assert np.sum(result["confusion"]) == 8


def test_the_dataset_is_listed_and_its_samples_are_drawn(client: Client, stripes_model: dict) -> None:
    entry = next(entry for entry in client.get("/v1/datasets")["datasets"] if entry["name"] == "stripes")
    assert entry == {
        "name": "stripes",
        "ready": True,
        "shape": [28, 28, 1],
        "classes": ["Längs", "quer $1"],
        "sizes": {"train": 32, "test": 8},
        "prepare": "resize",
        "problem": None,
    }
    figure = requests.get(f"{client.url}/v1/datasets/stripes/samples.png?count=12", timeout=30)
    assert figure.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(figure.content)).width > 500


def test_an_unusable_folder_is_listed_with_its_problem(client: Client, settings: Settings) -> None:
    (settings.data_dir / "unfinished" / "train").mkdir(parents=True)
    entry = next(entry for entry in client.get("/v1/datasets")["datasets"] if entry["name"] == "unfinished")
    assert entry["ready"] is False
    assert "two or more classes" in entry["problem"]
