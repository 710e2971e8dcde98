"""A whole stack on an object store, whose services share no disk: each has folders of its own for copies."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from services.cli.client import Client, ClientError
from services.stack.stack import Stack, isolate_environ
from shared.settings import Settings
from tests.object_server import ObjectServer, running_object_server
from tests.polling import wait_until
from tests.running_stack import started
from tests.unit.data.zip_files import encode_png, pack, pictures_of

pytestmark = pytest.mark.stack

BACKENDS = ("tensorflow", "pytorch")
REQUEST = {"network": "mlp", "dataset": "digits", "epochs": 2, "name": "stored"}


class ScatteredStack(Stack):
    """A stack in which each process has its own folders for models and uploads."""

    def _configuration(self) -> Iterator[str]:
        folders = ""
        for line in super()._configuration():
            if line.startswith("[program:"):
                own = self.settings.state_dir / "disks" / line.removeprefix("[program:").rstrip("]")
                folders = f'TANDEM_MODEL_DIR="{own}/models",TANDEM_UPLOAD_DIR="{own}/uploads"'
            if line.startswith("environment="):
                yield f"{line},{folders}"
                folders = ""
                continue
            if line.startswith("priority=") and folders:
                yield f"environment={folders}"
            yield line


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """Yield a running object store."""
    with running_object_server(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture(scope="module")
def environ(server: ObjectServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a stack that uses the object store."""
    state = tmp_path_factory.mktemp("scattered")
    cache = {"TANDEM_CACHE_DIR": str(Path(".tandem/data").absolute())}
    # A predictor that gets its first request for a model copies and loads it, which takes long on a busy machine.
    patience = {"TANDEM_JOINT_TIMEOUT_S": "60", "TANDEM_PREDICTION_TIMEOUT_S": "60"}
    own = {**cache, **os.environ, **patience}
    return {**isolate_environ(own, state), "TANDEM_MODEL_STORE": "s3://tandem/all/of/it"}


def start(environ: dict[str, str]) -> ScatteredStack:
    """Return a stack that is not started, and whose services have no copy of anything."""
    stack = ScatteredStack(environ, log=Settings.from_env(environ).state_dir / "log")
    shutil.rmtree(stack.settings.state_dir / "disks", ignore_errors=True)
    return stack


def predict(client: Client, model: str, version: str = "") -> dict:
    """Return the answer to a prediction, in which no backend failed."""
    query = {"model": model, "version": version} if version else {"model": model}
    answer = client.predict_pictures(query, [("picture.png", encode_png(90))])
    assert answer["errors"] == {}, answer
    return answer


def test_services_that_share_no_disk_train_predict_evaluate_export_and_delete(environ: dict[str, str]) -> None:
    stack = start(environ)
    log = stack.settings.state_dir / "log"
    with started(stack, log):
        client = Client(stack.url)
        predict(client, "welcome")
        for version in (1, 2):
            training = client.follow(f"/v1/trainings/{client.post('/v1/trainings', REQUEST)['id']}")
            assert training["status"] == "succeeded", training
            assert not training["warnings"], training
            answer = predict(client, "stored")
            assert {result["version"] for result in answer["images"][0]["results"].values()} == {version}
        assert training["comparisons"]
        client.put("/v1/models/stored/aliases/stable", {"version": 1})
        evaluation = client.post("/v1/evaluations", {"model": "stored", "version": "stable"})
        assert client.follow(f"/v1/evaluations/{evaluation['id']}")["status"] == "succeeded"
        export = client.post("/v1/models/stored/pytorch/1/exports", {"format": "onnx"})
        assert client.follow(f"/v1/exports/{export['id']}")["status"] == "succeeded"
        certificate = client.post("/v1/certificates", {"network": "mlp", "dataset": "digits"})
        assert client.follow(f"/v1/certificates/{certificate['id']}")["status"] == "succeeded"

        shades = pack(pictures_of("dark", "light", count=30))
        assert requests.put(f"{client.url}/v1/datasets/shades", data=shades, timeout=60).status_code == 201
        training = client.post("/v1/trainings", {**REQUEST, "dataset": "shades", "name": "shades"})
        assert client.follow(f"/v1/trainings/{training['id']}")["status"] == "succeeded"
        predict(client, "shades")

        for backend in BACKENDS:
            deletion = client.delete(f"/v1/models/stored/{backend}/2")
            assert client.follow(f"/v1/deletions/{deletion['id']}")["status"] == "succeeded"
        with pytest.raises(ClientError, match="version 2 is not published"):
            predict(client, "stored", version="2")

        slow = {**REQUEST, "epochs": 400, "batch_size": 4, "name": "moved"}
        moved = f"/v1/trainings/{client.post('/v1/trainings', slow)['id']}"
        wait_until(lambda: all(run["epoch"] >= 2 for run in client.get(moved)["runs"].values()), message="no run began")

    stack = start(environ)  # every copy is gone, as on new machines
    with started(stack, log):
        client = Client(stack.url)
        answer = predict(client, "stored", version="stable")
        assert {result["version"] for result in answer["images"][0]["results"].values()} == {1}
        assert client.get("/v1/models/stored")["versions"] == {backend: [1] for backend in BACKENDS}
        listed = client.get("/v1/models/stored/pytorch/1/exports")["exports"]
        assert [one["format"] for one in listed] == ["onnx"]
        file = requests.get(f"{client.url}/v1/models/stored/pytorch/1/exports/onnx", timeout=30)
        assert len(file.content) == listed[0]["file"]["size"]
        assert requests.get(f"{client.url}/v1/datasets/shades/samples.png", timeout=30).status_code == 200
        wait_until(
            lambda: all(run["resumed_after"] for run in client.get(moved)["runs"].values()),
            message=lambda: f"a run did not go on from its checkpoint: {client.get(moved)}",
        )
        client.post(f"{moved}/cancel", {})
        assert requests.delete(f"{client.url}/v1/datasets/shades", timeout=30).status_code == 204
