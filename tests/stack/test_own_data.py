"""A user's own pictures: from two folders to a prediction whose class is a folder's name."""

import io
from pathlib import Path

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
        "source": "folder",
        "ready": True,
        "shape": [28, 28, 1],
        "classes": ["Längs", "quer $1"],
        "sizes": {"train": 32, "test": 8},
        "prepare": "resize",
        "problem": None,
        "notes": [],
        "version": None,
        "stored_bytes": None,
        "uploaded_at": None,
    }
    figure = requests.get(f"{client.url}/v1/datasets/stripes/samples.png?count=12", timeout=30)
    assert figure.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(figure.content)).width > 500


def write_small_dataset(folder: Path, *classes: str, count: int = 5) -> None:
    """Write some pictures of stripes into the folders of classes, which are relative to the dataset's folder."""
    generator = np.random.default_rng(2)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            draw_stripes(bool(index % 2), generator).save(folder / name / f"{index}.png")


def test_a_small_dataset_is_trained_with_smaller_batches_and_empty_classes_have_no_figures(
    client: Client, settings: Settings
) -> None:
    """The dataset also has an unusual layout, left-over files, and a class without test pictures."""
    folder = settings.data_dir / "small"
    write_small_dataset(folder, "Training/Längs", "Training/quer", "Test/La\u0308ngs")
    (folder / "Training" / "quer" / "@eaDir").mkdir()
    (folder / "dataset.json").write_bytes('{"size": 12}'.encode("utf-8-sig"))
    request = {"network": "mlp", "dataset": "small", "epochs": 2}
    training = client.post("/v1/trainings", request)
    training = client.follow(f"/v1/trainings/{training['id']}")
    assert training["status"] == "succeeded"
    assert training["request"]["batch_size"] == 10
    assert training["warnings"] == ["batch_size is 10 instead of 64: 'small' has 10 training pictures"]
    evaluation = client.post("/v1/evaluations", {"model": training["name"]})
    evaluation = client.follow(f"/v1/evaluations/{evaluation['id']}")
    for result in evaluation["results"].values():
        long, across = result["per_class"]
        assert (long["class"], across["class"]) == ("Längs", "quer")
        assert (across["recall"], across["f1"]) == (None, None)
        assert None not in (long["recall"], long["f1"])
    answer = requests.post(f"{client.url}/v1/trainings", json={**request, "batch_size": 11}, timeout=30)
    assert answer.status_code == 422
    assert "10 training pictures of 'small': choose 10 or less" in answer.json()["detail"]


def test_a_certificate_of_a_small_dataset_says_that_its_batches_are_smaller(client: Client, settings: Settings) -> None:
    write_small_dataset(settings.data_dir / "tiny", "a", "b")
    certificate = client.post("/v1/certificates", {"network": "mlp", "dataset": "tiny", "steps": 2})
    certificate = client.follow(f"/v1/certificates/{certificate['id']}")
    assert certificate["request"]["batch_size"] == 8
    assert certificate["notes"] == ["batch_size is 8 instead of 64: 'tiny' has 8 training pictures"]
    assert certificate["verdict"] in ("identical", "rounding")


def test_ready_is_what_a_training_accepts(client: Client, settings: Settings) -> None:
    """Every listed dataset of one's own either is ready and accepted, or has a problem with which it is refused."""
    data = settings.data_dir
    write_small_dataset(data / "Upper", "train/a", "train/b")
    write_small_dataset(data / "torn", "train/a", "train/b")
    torn = data / "torn/train/b/3.png"
    torn.write_bytes(torn.read_bytes()[:200])
    write_small_dataset(data / "mixed", "a/train", "b")
    write_small_dataset(data / "class-first", "a/train", "b/train", "b/test")
    write_small_dataset(data / "flat-pytorch", "a", "b")
    own = {entry["name"]: entry for entry in client.get("/v1/datasets")["datasets"]}
    assert own["class-first"]["ready"]
    assert own["flat-pytorch"]["ready"]
    assert "rename the folder to 'upper'" in own["Upper"]["problem"]
    assert "torn/train/b/3.png" in own["torn"]["problem"]
    assert "mixed/a has a folder 'train'" in own["mixed"]["problem"]
    for name in ("Upper", "torn", "mixed", "class-first", "flat-pytorch"):
        request = {"network": "mlp", "dataset": name, "epochs": 1, "name": "any", "backends": ["pytorch"]}
        answer = requests.post(f"{client.url}/v1/trainings", json=request, timeout=30)
        assert own[name]["ready"] == (answer.status_code == 202), answer.text
        if not own[name]["ready"]:
            assert answer.json()["detail"] == own[name]["problem"]
    unnamed = {"network": "mlp", "dataset": "flat-pytorch", "epochs": 1}
    answer = requests.post(f"{client.url}/v1/trainings", json=unnamed, timeout=30)
    assert "give the training a `name`" in answer.json()["detail"]


def test_an_unusable_folder_is_listed_with_its_problem(client: Client, settings: Settings) -> None:
    (settings.data_dir / "unfinished" / "train").mkdir(parents=True)
    entry = next(entry for entry in client.get("/v1/datasets")["datasets"] if entry["name"] == "unfinished")
    assert entry["ready"] is False
    assert "two or more classes" in entry["problem"]
