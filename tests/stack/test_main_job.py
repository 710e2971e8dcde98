"""The main path: train in every backend, publish, evaluate and predict."""

import io

import numpy as np
import pytest
import requests
from PIL import Image

from services.cli.client import FINAL, Client, ClientError
from shared.data import datasets
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.polling import wait_until

pytestmark = pytest.mark.stack

BACKENDS = ["tensorflow", "pytorch"]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


def predict_images(client: Client, model: str, pixels: np.ndarray, backends: str | None = None) -> dict:
    files = [("image", (f"{index}.png", png(image))) for index, image in enumerate(pixels)]
    answer = requests.post(
        f"{client.url}/v1/predictions", params={"model": model, "backends": backends}, files=files, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_training_succeeds_in_every_backend_with_a_history(digits_model: dict) -> None:
    assert digits_model["status"] == "succeeded"
    for backend in BACKENDS:
        run = digits_model["runs"][backend]
        assert run["epoch"] == run["epochs"] == 20
        assert [entry["epoch"] for entry in run["history"]] == list(range(1, 21))
        assert run["history"][-1]["loss"] < run["history"][0]["loss"]
        assert run["history"][-1]["test_accuracy"] >= 0.95
        assert run["model"] == {"name": "mlp-digits", "backend": backend, "version": digits_model["version"]}
        assert run["examples_per_second"] > 0
        assert run["threads"] >= 1


def test_shared_pairing_gives_the_same_curve_in_both_backends(digits_model: dict) -> None:
    one, other = (digits_model["runs"][backend]["history"] for backend in BACKENDS)
    for a, b in zip(one, other, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert a["test_accuracy"] == pytest.approx(b["test_accuracy"], abs=0.01)


def test_native_pairing_gives_each_framework_its_own_initial_weights(client: Client) -> None:
    training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 2, "pairing": "native", "name": "native"})
    training = client.follow(f"/v1/trainings/{training['id']}")
    losses = {run["history"][0]["loss"] for run in training["runs"].values()}
    assert len(losses) == 2


def test_versions_count_up_and_are_shared_by_the_runs(client: Client) -> None:
    versions = []
    for _ in range(2):
        training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "counting"})
        versions.append(training["version"])
        client.follow(f"/v1/trainings/{training['id']}")
    assert versions == [1, 2]
    assert client.get("/v1/models/counting")["versions"] == {backend: [1, 2] for backend in BACKENDS}


def test_the_manifest_has_the_classes_the_request_and_the_fingerprints_of_the_data(
    digits_model: dict, settings: Settings
) -> None:
    store = ModelRegistry(settings.model_dir)
    for backend in BACKENDS:
        manifest = store.verify("mlp-digits", backend, digits_model["version"]).manifest
        assert manifest.classes == tuple("0123456789")
        assert manifest.request["epochs"] == 20
        for split in ("train", "test"):
            expected = datasets.fingerprint(datasets.read(datasets.DIGITS, split, settings))
            assert getattr(manifest.data, split) == expected


def test_an_evaluation_gives_the_accuracy_and_loss_of_the_trainings_last_epoch(
    client: Client, digits_model: dict
) -> None:
    evaluation = client.post("/v1/evaluations", {"model": "mlp-digits"})
    evaluation = client.follow(f"/v1/evaluations/{evaluation['id']}")
    for backend in BACKENDS:
        result = evaluation["results"][backend]
        last = digits_model["runs"][backend]["history"][-1]
        assert result["accuracy"] == pytest.approx(last["test_accuracy"], abs=1e-9)
        assert result["loss"] == pytest.approx(last["test_loss"], rel=1e-6)
        confusion = np.array(result["confusion"])
        assert confusion.sum() == 360
        assert confusion.trace() / 360 == pytest.approx(result["accuracy"])
        assert [figures["class"] for figures in result["per_class"]] == list("0123456789")
    (comparison,) = evaluation["comparisons"]
    assert comparison["backends"] == BACKENDS
    assert comparison["agreement"] == pytest.approx(1 - len(comparison["disagreements"]) / 360)


def test_posted_images_are_classified_with_the_accuracy_of_the_training(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    test = datasets.read(datasets.DIGITS, "test", settings)
    expected = digits_model["runs"]["tensorflow"]["history"][-1]["test_accuracy"]
    right = dict.fromkeys(BACKENDS, 0)
    for start in range(0, 360, 60):
        images = predict_images(client, "mlp-digits", test.images[start : start + 60])["images"]
        for image, label in zip(images, test.labels[start : start + 60], strict=True):
            assert image["warnings"] == []
            for backend in BACKENDS:
                right[backend] += image["results"][backend]["class"] == str(label)
    for backend in BACKENDS:
        assert right[backend] / 360 == pytest.approx(expected, abs=0.01)


def test_images_posted_together_get_the_results_they_get_alone_in_the_posted_order(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    pictures = datasets.read(datasets.DIGITS, "test", settings).images[:5]
    together = predict_images(client, "mlp-digits", pictures)["images"]
    assert [image["name"] for image in together] == [f"{index}.png" for index in range(5)]
    for index, pixels in enumerate(pictures):
        for backend in BACKENDS:
            (alone,) = predict_images(client, "mlp-digits", pixels[None], backend)["images"]
            assert list(alone["results"]) == [backend]
            assert alone["agree"] is None
            probabilities = alone["results"][backend]["probabilities"]
            assert sum(probabilities) == pytest.approx(1, abs=1e-5)
            assert probabilities == pytest.approx(together[index]["results"][backend]["probabilities"], abs=1e-5)


def test_an_image_may_be_the_whole_body(client: Client, digits_model: dict) -> None:
    with open("samples/seven-8x8.png", "rb") as file:
        answer = requests.post(
            f"{client.url}/v1/predictions?model=mlp-digits",
            data=file.read(),
            headers={"Content-Type": "image/png"},
            timeout=30,
        )
    assert answer.status_code == 200
    assert answer.json()["images"][0]["results"]["pytorch"]["class"] == "7"
    assert "decode;dur=" in answer.headers["Server-Timing"]


def test_a_prediction_works_as_soon_as_the_training_has_succeeded(client: Client) -> None:
    for _ in range(3):
        training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "at-once"})
        client.follow(f"/v1/trainings/{training['id']}")
        answer = predict_images(client, "at-once", np.zeros((1, 8, 8, 1), np.uint8))
        assert answer["errors"] == {}
        assert {r["version"] for r in answer["images"][0]["results"].values()} == {training["version"]}


def test_a_network_without_a_preset_name_gives_a_model_called_custom(client: Client) -> None:
    layers = [{"kind": "flatten"}, {"kind": "dense", "units": 16, "activation": "relu"}, {"kind": "dense", "units": 10}]
    request = {"network": {"input_shape": [8, 8, 1], "layers": layers}, "dataset": "digits", "epochs": 1}
    training = client.post("/v1/trainings", request)
    assert training["name"] == "custom-digits"
    assert client.follow(f"/v1/trainings/{training['id']}")["status"] == "succeeded"


def test_a_training_of_one_backend_publishes_for_that_backend_only(client: Client) -> None:
    training = client.post(
        "/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "alone", "backends": ["pytorch"]}
    )
    training = client.follow(f"/v1/trainings/{training['id']}")
    assert list(training["runs"]) == ["pytorch"]
    assert training["runs"]["pytorch"]["overlapped"] is False
    with pytest.raises(ClientError, match="not published by tensorflow: name only the backends that have it, pytorch"):
        client.post("/v1/evaluations", {"model": "alone"})


def test_a_diverging_training_fails_with_a_reason_and_publishes_nothing(client: Client) -> None:
    linear = {"kind": "dense", "units": 64}
    layers = [{"kind": "flatten"}, linear, linear, {"kind": "dense", "units": 10}]
    request = {
        "network": {"input_shape": [8, 8, 1], "layers": layers},
        "dataset": "digits",
        "name": "diverging",
        "epochs": 50,
        "optimizer": {"name": "sgd", "learning_rate": 100},
    }
    training = client.post("/v1/trainings", request)
    with pytest.raises(ClientError, match="lower the learning rate"):
        client.follow(f"/v1/trainings/{training['id']}")
    with pytest.raises(ClientError, match="there is no model"):
        client.get("/v1/models/diverging")


@pytest.mark.slow
def test_the_articles_training_on_mnist_reaches_its_accuracy_in_both_backends(
    client: Client, has_mnist: None, settings: Settings
) -> None:
    training = client.post("/v1/trainings", {})
    training = client.follow(f"/v1/trainings/{training['id']}")
    one, other = (training["runs"][backend]["history"] for backend in BACKENDS)
    assert one[-1]["test_accuracy"] >= 0.85
    assert other[-1]["test_accuracy"] >= 0.85
    assert one[-1]["test_accuracy"] == pytest.approx(other[-1]["test_accuracy"], abs=0.0005)
    for a, b in zip(one, other, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)

    test = datasets.read(datasets.MNIST, "test", settings)
    accuracy = one[-1]["test_accuracy"]
    for asked in (None, *BACKENDS):
        right = dict.fromkeys(BACKENDS if asked is None else [asked], 0)
        for start in range(0, 200, 50):
            images = predict_images(client, "article-mnist", test.images[start : start + 50], asked)["images"]
            for image, label in zip(images, test.labels[start : start + 50], strict=True):
                for backend, result in image["results"].items():
                    right[backend] += result["label"] == label
        for count in right.values():
            # With 200 images the binomial standard deviation is 2.5 percentage points.
            assert count / 200 == pytest.approx(accuracy, abs=0.03)


def test_the_current_epoch_can_be_read_while_a_training_runs(client: Client) -> None:
    training = client.post(
        "/v1/trainings", {"dataset": "digits", "epochs": 300, "name": "progress", "batch_size": 1437}
    )
    seen: set[int] = set()

    def has_ended() -> bool:
        work = client.get(f"/v1/trainings/{training['id']}")
        seen.update(run["epoch"] for run in work["runs"].values() if run["status"] == "running")
        return work["status"] in FINAL

    wait_until(has_ended, message="the training did not end", timeout_s=120, every_s=0)
    assert client.get(f"/v1/trainings/{training['id']}")["status"] == "succeeded"
    assert any(0 < epoch < 300 for epoch in seen)
