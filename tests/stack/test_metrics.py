"""`/metrics` of every server, request ids in the logs of all processes, and TensorBoard's event files."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from services.cli.client import Client
from services.stack.stack import Stack, python_of
from shared.settings import Settings
from tests.polling import wait_until

pytestmark = pytest.mark.stack

BACKENDS = ["tensorflow", "pytorch"]
READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, TENSORS
from tensorboard.util import tensor_util
events = EventAccumulator(sys.argv[1], size_guidance={TENSORS: 0})
events.Reload()
tags = events.Tags()
scalars = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]}
tensors = {
    tag: [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in events.Tensors(tag)]
    for tag in tags["tensors"]
}
print(json.dumps({**scalars, **tensors}))
"""


def list_servers(client: Client, settings: Settings) -> dict[str, str]:
    return {"gateway": client.url, **{backend: settings.url_of(backend) for backend in BACKENDS}}


@pytest.fixture(scope="module")
def texts(client: Client, settings: Settings, digits_model: dict) -> dict[str, str]:
    """Return the text of each server's `/metrics` after a prediction."""
    client.predict("mlp-digits", Path("samples/seven-8x8.png"))
    answers = {name: requests.get(f"{url}/metrics", timeout=10) for name, url in list_servers(client, settings).items()}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert all(answer.headers["Content-Type"].startswith("text/plain; version=") for answer in answers.values())
    return {name: answer.text for name, answer in answers.items()}


def samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of one metric, keyed by its labels' values."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_the_gateway_reports_requests_predictor_calls_queues_and_throughput(texts: dict[str, str]) -> None:
    text = texts["gateway"]
    assert samples(text, "tandem_request_duration_seconds_count")["POST", "/v1/predictions", "2xx"] >= 1
    for name in ("tandem_hop_duration_seconds_count", "tandem_hop_pictures_sum"):
        assert all(samples(text, name)[backend,] >= 1 for backend in BACKENDS), name
    for name in ("tandem_prediction_queue_pictures", "tandem_prediction_queue_age_seconds"):
        assert set(samples(text, name)) == {(backend,) for backend in BACKENDS}
    for name in ("tandem_jobs_waiting", "tandem_jobs_oldest_age_seconds"):
        assert set(samples(text, name)) == {(queue,) for queue in (*BACKENDS, "loadtest", "pipelines")}
    assert all(speed > 0 for speed in samples(text, "tandem_training_examples_per_second").values())
    assert len(samples(text, "tandem_training_examples_per_second")) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_predictor_reports_computations_batches_and_model_loads(texts: dict[str, str], backend: str) -> None:
    text = texts[backend]
    assert samples(text, "tandem_compute_duration_seconds_count")[()] >= 1
    assert samples(text, "tandem_compute_pictures_sum")[()] >= 1
    assert samples(text, "tandem_model_loads_total")["success",] >= 1
    assert samples(text, "tandem_model_load_duration_seconds_sum")[()] > 0
    assert samples(text, "tandem_models_loaded")[()] >= 1
    assert samples(text, "process_resident_memory_bytes")[()] > 0


@pytest.mark.parametrize("server", ["gateway", *BACKENDS])
def test_promtool_accepts_the_metrics(texts: dict[str, str], server: str) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed: sudo apt-get install -y --no-install-recommends prometheus")
    answer = subprocess.run(
        [promtool, "check", "metrics"], input=texts[server], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def log_entries(stack: Stack, request_id: str) -> Iterator[dict]:
    """Yield the log entries of all processes that have a request id."""
    for line in (stack.settings.state_dir / "log").read_text(errors="replace").splitlines():
        if line.startswith("{") and request_id in (entry := json.loads(line)).get("request_id", ""):
            yield entry


def test_the_request_id_is_logged_by_the_gateway_the_trainers_and_the_predictors(
    stack: Stack, client: Client, settings: Settings
) -> None:
    request = {"dataset": "digits", "epochs": 1, "name": "traced"}
    answer = requests.post(
        f"{client.url}/v1/trainings", json=request, headers={"X-Request-Id": "trace-me.1"}, timeout=30
    )
    assert answer.headers["X-Request-Id"] == "trace-me.1"
    client.follow(answer.headers["Location"])
    events = sorted((line["event"], line.get("backend", "")) for line in log_entries(stack, "trace-me.1"))
    events = [event for event in events if event[0] != "slow"]
    expected = [(event, backend) for event in ("started", "succeeded") for backend in BACKENDS]
    assert events == sorted([*expected, ("submitted", ""), ("model loaded", ""), ("model loaded", "")])

    for manifest in settings.model_dir.glob("traced/*/*/manifest.json"):
        manifest.with_name("copy").write_bytes(manifest.read_bytes())
        os.replace(manifest.with_name("copy"), manifest)  # a new file: the predictors must load the model again
    answer = requests.post(
        f"{client.url}/v1/predictions?model=traced",
        data=Path("samples/seven-8x8.png").read_bytes(),
        headers={"Content-Type": "image/png", "X-Request-Id": "trace-me.2"},
        timeout=60,
    )
    assert answer.status_code == 200

    def loaded() -> list[tuple[str, str]]:
        entries = log_entries(stack, "trace-me.2")
        return [(line["event"], line["name"]) for line in entries if line["event"] != "slow"]

    # An answer waits for a slow backend for two seconds only.
    wait_until(lambda: len(loaded()) >= 2, message=lambda: f"the predictors logged {loaded()}")
    assert loaded() == [("model loaded", "traced")] * 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_event_files_contain_the_figures_of_every_epoch(settings: Settings, digits_model: dict, backend: str) -> None:
    folder = settings.model_dir / ".tensorboard/mlp-digits" / str(digits_model["version"]) / backend
    assert re.search(r"tfevents", " ".join(path.name for path in folder.iterdir()))
    command = [*python_of("pytorch"), "-c", READ_EVENTS, str(folder)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
    history = digits_model["runs"][backend]["history"]
    for figure in ("loss", "accuracy", "test_loss", "test_accuracy"):
        assert [step for step, _ in found[figure]] == list(range(1, 21))
        assert [value for _, value in found[figure]] == pytest.approx([entry[figure] for entry in history], rel=1e-5)
    assert all(speed > 0 for _, speed in found["examples_per_second"])


def test_deleting_a_model_deletes_its_event_files(client: Client, settings: Settings) -> None:
    request = {"dataset": "digits", "epochs": 1, "name": "curves", "backends": ["pytorch"]}
    training = client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    folder = settings.model_dir / ".tensorboard/curves" / str(training["version"])
    assert (folder / "pytorch").is_dir()
    answer = requests.delete(f"{client.url}/v1/models/curves/pytorch/{training['version']}", timeout=10)
    client.follow(answer.headers["Location"])
    assert not (folder / "pytorch").exists()
    assert "curves" not in [model["name"] for model in client.get("/v1/models")["models"]]
