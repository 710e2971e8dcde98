"""New versions are published, and broken ones appear, while clients request the model without an error."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from services.cli.client import Client
from services.stack.stack import Stack
from shared.models.registry import ModelRegistry
from shared.settings import Settings

pytestmark = pytest.mark.stack

SEVEN = Path("samples/seven.png").read_bytes()
PER_SECOND = 100


def train(client: Client, name: str) -> int:
    """Train a model for one epoch and return its version."""
    training = client.post("/v1/trainings", {"name": name, "dataset": "digits", "epochs": 1})
    return client.follow(f"/v1/trainings/{training['id']}")["version"]


def test_no_prediction_fails_while_ten_versions_are_published(client: Client) -> None:
    """Requests are sent on a fixed schedule, without waiting for responses, so that a stall would affect many."""
    url = f"{client.url}/v1/predictions?model=released"
    first = train(client, "released")

    def predict() -> tuple[int, set[int]]:
        """Return the status, or 0 if a backend is missing, and the versions that answered."""
        answer = requests.post(url, SEVEN, headers={"Content-Type": "image/png"}, timeout=30)
        results = answer.json()["images"][0]["results"] if answer.ok else {}
        return answer.status_code if len(results) == 2 else 0, {result["version"] for result in results.values()}

    with ThreadPoolExecutor(64) as requesters, ThreadPoolExecutor(1) as publisher:
        publishing = publisher.submit(lambda: [train(client, "released") for _ in range(10)])
        answers: list[Future[tuple[int, set[int]]]] = []
        started_at = time.perf_counter()
        while not publishing.done():
            answers.append(requesters.submit(predict))
            time.sleep(max(0.0, started_at + len(answers) / PER_SECOND - time.perf_counter()))
        assert publishing.result() == list(range(first + 1, first + 11))
    found = [answer.result() for answer in answers]
    assert {status for status, _ in found} == {200}
    assert all(len(versions) == 1 for _, versions in found), "all backends answer with the same version"
    served = [versions.pop() for _, versions in found]
    assert served[0] == first
    assert len(set(served)) >= 10, "a version was never served"


def test_a_corrupt_version_is_not_served_and_the_previous_one_is(client: Client, settings: Settings) -> None:
    good, bad = train(client, "corrupt"), train(client, "corrupt")
    weights = ModelRegistry(settings.model_dir).path("corrupt", "pytorch", bad) / "weights.safetensors"
    published = weights.read_bytes()
    try:
        weights.write_bytes(bytes(len(published)))
        (image,) = client.predict("corrupt", Path("samples/seven.png"))["images"]
        assert {result["version"] for result in image["results"].values()} == {good}
    finally:
        weights.write_bytes(published)


def test_predictors_load_a_version_before_it_is_published(client: Client, stack: Stack) -> None:
    """The log shows that each predictor loaded the draft (`.tmp-`) and nothing more for the first request."""
    train(client, "warm")
    client.predict("warm", Path("samples/seven.png"))
    log = (stack.settings.state_dir / "log").read_text().splitlines()
    loads = [line for line in log if "model loaded" in line and "warm" in line]
    assert len(loads) == 2, "once by each backend"
    assert all(".tmp-" in line for line in loads)
