"""A third backend needs one folder and one word in TANDEM_BACKENDS.

The backend is tests/toy, written in NumPy. It runs in a copy of the project.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from benchmarks.stack import copy_project
from services.cli.client import Client, ClientError
from services.stack.stack import isolate_environ
from tests.polling import wait_until

pytestmark = pytest.mark.stack

BACKENDS = ["tensorflow", "pytorch", "toy"]
PAIRS = [["tensorflow", "pytorch"], ["tensorflow", "toy"], ["pytorch", "toy"]]
REQUEST = {
    "network": {
        "input_shape": [8, 8, 1],
        "layers": [
            {"kind": "conv2d", "filters": 4, "kernel_size": 3, "activation": "relu"},
            {"kind": "max_pool2d"},
            {"kind": "flatten"},
            {"kind": "dense", "units": 10},
        ],
    },
    "dataset": "digits",
    "name": "three",
    "epochs": 3,
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
}


def copy_with_toy(place: Path) -> None:
    """Copy the project to a folder, add the toy backend and create its environment."""
    copy_project(place, ("gateway", "loadtest", "stack", "tensorflow", "pytorch"))
    shutil.copytree("tests/toy", place / "services/toy")
    command = [sys.executable, "-m", "services.stack.environments", "toy"]
    subprocess.run(command, cwd=place, check=True)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Yield a client of a running stack with three backends."""
    place = tmp_path_factory.mktemp("three")
    copy_with_toy(place)
    environ = isolate_environ({**os.environ, "TANDEM_BACKENDS": ",".join(BACKENDS)}, place / "state")
    url = f"http://127.0.0.1:{environ['TANDEM_GATEWAY_PORT']}"
    python = place / ".venv/stack/bin/python"

    def end_of_log() -> str:
        return (place / "log").read_text()[-3000:]

    with (place / "log").open("wb") as log:
        up = subprocess.Popen([python, "-m", "services.stack", "up"], cwd=place, env=environ, stdout=log, stderr=log)
    try:

        def is_up() -> bool:
            assert up.poll() is None, end_of_log()
            return is_ready(url)

        wait_until(is_up, message=end_of_log, timeout_s=120, every_s=0.5)
        yield Client(url)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(30)


def is_ready(url: str) -> bool:
    try:
        details = requests.get(f"{url}/v2/health/ready", timeout=5).json()["details"]
    except (requests.RequestException, ValueError, KeyError):
        return False
    return all(state == "up" for state in details.values())


@pytest.fixture(scope="module")
def training(three: Client) -> dict:
    return three.follow(f"/v1/trainings/{three.post('/v1/trainings', REQUEST)['id']}")


def test_the_third_backend_trains_with_the_others_and_ends_with_the_same_loss_and_weights(training: dict) -> None:
    assert list(training["runs"]) == BACKENDS
    losses = [run["history"][-1]["loss"] for run in training["runs"].values()]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-4)
    assert sorted(pair["backends"] for pair in training["comparisons"]) == sorted(PAIRS)
    assert all(pair["max_weight_difference"] < 1e-3 for pair in training["comparisons"])


def test_an_evaluation_compares_all_pairs_of_backends(three: Client, training: dict) -> None:
    evaluation = three.post("/v1/evaluations", {"model": "three"})
    evaluation = three.follow(f"/v1/evaluations/{evaluation['id']}")
    assert sorted(pair["backends"] for pair in evaluation["comparisons"]) == sorted(PAIRS)
    accuracies = {result["accuracy"] for result in evaluation["results"].values()}
    assert max(accuracies) - min(accuracies) < 0.02
    assert min(accuracies) > 0.8


def test_a_prediction_has_a_result_of_each_backend(three: Client, training: dict) -> None:
    (image,) = three.predict("three", Path("samples/seven-8x8.png"))["images"]
    assert list(image["results"]) == BACKENDS


def test_a_certificate_compares_all_pairs_of_backends(three: Client) -> None:
    body = {"network": REQUEST["network"], "dataset": "digits", "steps": 5}
    certificate = three.follow(f"/v1/certificates/{three.post('/v1/certificates', body)['id']}")
    assert certificate["verdict"] == "rounding"
    assert sorted(pair["backends"] for pair in certificate["comparisons"]) == sorted(PAIRS)


def test_a_model_is_transplanted_to_the_third_backend(three: Client, training: dict) -> None:
    moved = three.post("/v1/models/three/tensorflow/1/transplant", {"to": "toy"})
    moved = three.follow(f"/v1/transplants/{moved['id']}")
    assert moved["model"] == {"name": "three", "backend": "toy", "version": 2}
    assert moved["proof"]["same_class"] == moved["proof"]["examples"]


def test_a_model_of_the_third_backend_is_exported_as_onnx_and_as_nothing_else(three: Client, training: dict) -> None:
    done = three.post("/v1/models/three/toy/1/exports", {"format": "onnx"})
    found = three.follow(f"/v1/exports/{done['id']}")["verification"]
    assert found["same_class"] == found["examples"] == 360
    with pytest.raises(ClientError, match="toy has no format 'pt2': choose one of onnx"):
        three.post("/v1/models/three/toy/1/exports", {"format": "pt2"})
