"""The containers with docker-compose.s3.yml, and a real object store on this machine."""

import io
import ipaddress
import itertools
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from tests.compose.conftest import PROJECT, Compose, started
from tests.object_server import BUCKET, running_object_server

pytestmark = pytest.mark.compose
STORE_PROJECT = f"{PROJECT}-store"
FILES = ("docker-compose.yml", "docker-compose.s3.yml")
MLP = {"network": "mlp", "dataset": "squares", "epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def stored(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Yield a project whose models lie in an object store. The store listens on the engine's own network only."""
    found = subprocess.run(["docker", "network", "inspect", "bridge"], capture_output=True, text=True, check=True)
    network = json.loads(found.stdout)[0]["IPAM"]["Config"][0]
    address = network.get("Gateway") or network["Subnet"].replace(".0/", ".1/").split("/")[0]
    folder = tmp_path_factory.mktemp("object-store")
    with running_object_server(folder, address) as server:
        variables = {**server.environ, "TANDEM_MODEL_STORE": f"s3://{BUCKET}/containers"}
        with started(Compose(STORE_PROJECT, FILES, variables)) as compose:
            yield compose


def picture(grey: int) -> bytes:
    """Return a PNG file of 28 x 28 pixels of one grey."""
    content = io.BytesIO()
    Image.fromarray(np.full((28, 28), grey, np.uint8)).save(content, "PNG")
    return content.getvalue()


def zip_squares() -> bytes:
    """Return a zip file with ten dark and ten light pictures in each split."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for split, label, number in itertools.product(("train", "test"), ("dark", "light"), range(10)):
            grey = number + (200 if label == "light" else 20)
            archive.writestr(f"{split}/{label}/{number}.png", picture(grey))
    return content.getvalue()


@pytest.mark.parametrize(
    ("service", "network"),
    [
        ("gateway", "published-with-store"),
        ("loadtest", "published-with-store"),
        ("pytorch-trainer", "objects"),
        ("pytorch-predictor", "objects"),
    ],
)
def test_a_store_on_another_machine_could_be_reached(stored: Compose, service: str, network: str) -> None:
    """The container's way out leads through a network whose answers find their way back.

    The store of this test is on the engine's own machine, which every network reaches.
    """
    command = ["docker", "network", "inspect", f"{STORE_PROJECT}_{network}"]
    (found,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not found["Internal"]
    assert found["Options"].get("com.docker.network.bridge.enable_ip_masquerade") != "false"
    lines = stored("exec", "-T", service, "cat", "/proc/net/route").stdout.splitlines()[1:]
    (default,) = [fields[2] for fields in map(str.split, lines) if fields[1] == "00000000"]
    assert str(ipaddress.ip_address(bytes.fromhex(default)[::-1])) == found["IPAM"]["Config"][0]["Gateway"]


def test_uploads_and_models_reach_containers_that_share_no_volume(stored: Compose, tmp_path: Path) -> None:
    uploaded = requests.put(f"{stored.client.url}/v1/datasets/squares", data=zip_squares(), timeout=60)
    assert uploaded.status_code == 201, uploaded.text
    training = stored.client.post("/v1/trainings", {**MLP, "name": "squares"})
    training = stored.client.follow(f"/v1/trainings/{training['id']}")
    assert training["status"] == "succeeded"
    assert [run["warnings"] for run in training["runs"].values()] == [[], []]
    export = stored.client.post("/v1/models/squares/pytorch/1/exports", {"format": "onnx"})
    assert stored.client.follow(f"/v1/exports/{export['id']}")["status"] == "succeeded"

    # A container that has lost its copies serves the model as before.
    path = tmp_path / "light.png"
    path.write_bytes(picture(205))
    before = stored.client.predict("squares", path)
    assert before["errors"] == {}
    stored("rm", "--stop", "--force", "pytorch-predictor")
    subprocess.run(["docker", "volume", "rm", f"{STORE_PROJECT}_pytorch-models"], check=True, capture_output=True)
    stored("up", "-d", "--wait")
    assert stored.client.predict("squares", path)["images"] == before["images"]
