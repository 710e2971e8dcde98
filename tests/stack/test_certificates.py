"""Parity certificates: in double precision, the backends differ by rounding errors only."""

import io

import pytest
import requests
from PIL import Image

from services.cli.client import Client

pytestmark = pytest.mark.stack

# Every kind of layer, in the configurations where frameworks differ: uneven padding, overlapping pools, batch norm.
NETWORK = {
    "input_shape": [8, 8, 1],
    "layers": [
        {"kind": "conv2d", "filters": 4, "kernel_size": [3, 2], "strides": 2, "padding": "same", "activation": "tanh"},
        {"kind": "average_pool2d", "pool_size": 3, "strides": 1, "padding": "same"},
        {"kind": "batch_norm"},
        {"kind": "conv2d", "filters": 6, "kernel_size": 2, "activation": "leaky_relu"},
        {"kind": "max_pool2d", "pool_size": 2, "strides": 1},
        {"kind": "global_average_pool2d"},
        {"kind": "flatten"},
        {"kind": "dropout", "rate": 0.5},
        {"kind": "dense", "units": 8, "activation": "sigmoid"},
        {"kind": "dense", "units": 10},
    ],
}
OPTIMIZERS = {
    "nesterov": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"name": "adam", "weight_decay": 0.01},
}


@pytest.fixture(scope="module", params=OPTIMIZERS)
def certificate(client: Client, request: pytest.FixtureRequest) -> dict:
    """Request a certificate of NETWORK, once per optimizer."""
    body = {"network": NETWORK, "dataset": "digits", "optimizer": OPTIMIZERS[request.param], "steps": 8, "seed": 3}
    submitted = client.post("/v1/certificates", body)
    return client.follow(f"/v1/certificates/{submitted['id']}")


def test_in_double_precision_only_rounding_errors_remain(client: Client, certificate: dict) -> None:
    assert certificate["verdict"] == "rounding"
    (pair,) = certificate["comparisons"]
    assert pair["backends"] == ["tensorflow", "pytorch"]
    assert [entry["step"] for entry in pair["steps"]["float64"]] == list(range(1, 9))
    for entry in pair["steps"]["float64"]:
        assert entry["logits"] < 1e-10
        assert entry["gradients"] < 1e-10
        assert entry["weights"] < 1e-8


def test_single_precision_is_reported_too_and_its_errors_are_larger(certificate: dict) -> None:
    (pair,) = certificate["comparisons"]
    for double, single in zip(pair["steps"]["float64"], pair["steps"]["float32"], strict=True):
        assert 1e3 * double["logits"] < single["logits"] < 1


def test_each_backends_forward_pass_equals_the_numpy_reference(certificate: dict) -> None:
    for run in certificate["runs"].values():
        assert run["reference"]["verdict"] == "rounding"
        assert all(entry["logits"] < 1e-10 for entry in run["reference"]["steps"]["float64"])
        assert run["reference"]["first_difference"]["difference"] < 1e-10


def test_the_certificate_notes_that_dropout_was_disabled(certificate: dict) -> None:
    assert "dropout" in certificate["notes"][0]


def test_the_differences_are_plotted(client: Client, certificate: dict) -> None:
    answer = requests.get(f"{client.url}/v1/certificates/{certificate['id']}/plot.png", timeout=30)
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).format == "PNG"
