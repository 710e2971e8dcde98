"""A version comes and goes, and nobody who asks for the model notices."""

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
    training = client.post("/v1/trainings", {"name": name, "dataset": "digits", "epochs": 1})
    return client.follow(f"/v1/trainings/{training['id']}")["version"]


def test_ten_versions_are_published_while_it_is_asked_a_hundred_times_a_second(client: Client) -> None:
    """The schedule is kept, not the answers waited for: a publication that held requests up would gather them."""
    url = f"{client.url}/v1/predictions?model=released"
    first = train(client, "released")

    def ask() -> tuple[int, set[int]]:
        answer = requests.post(url, SEVEN, headers={"Content-Type": "image/png"}, timeout=30)
        results = answer.json()["images"][0]["results"] if answer.ok else {}
        return answer.status_code if len(results) == 2 else 0, {result["version"] for result in results.values()}

    with ThreadPoolExecutor(64) as askers, ThreadPoolExecutor(1) as publisher:
        publishing = publisher.submit(lambda: [train(client, "released") for _ in range(10)])
        answers: list[Future[tuple[int, set[int]]]] = []
        begun = time.perf_counter()
        while not publishing.done():
            answers.append(askers.submit(ask))
            time.sleep(max(0.0, begun + len(answers) / PER_SECOND - time.perf_counter()))
        assert publishing.result() == list(range(first + 1, first + 11))
    found = [answer.result() for answer in answers]
    assert {status for status, _ in found} == {200}
    assert all(len(versions) == 1 for _, versions in found), "one version answers for all backends"
    served = [versions.pop() for _, versions in found]
    assert served[0] == first
    assert len(set(served)) >= 10, "old ones served until the new ones did"


def test_a_broken_version_disturbs_no_good_one(client: Client, settings: Settings) -> None:
    good, bad = train(client, "spoilt"), train(client, "spoilt")
    weights = ModelRegistry(settings.model_dir).path("spoilt", "pytorch", bad) / "weights.safetensors"
    published = weights.read_bytes()
    weights.write_bytes(bytes(len(published)))
    (image,) = client.predict("spoilt", Path("samples/seven.png"))["images"]
    assert {result["version"] for result in image["results"].values()} == {good}
    weights.write_bytes(published)  # for the tests that ask of every model


def test_a_version_is_loaded_before_it_is_seen(client: Client, stack: Stack) -> None:
    """Its predictor tells of a draft, and has nothing left to load when the first request comes."""
    train(client, "warm")
    client.predict("warm", Path("samples/seven.png"))
    told = [line for line in (stack.settings.state_dir / "log").read_text().splitlines() if "model loaded" in line]
    ours = [line for line in told if "warm" in line]
    assert len(ours) == 2, "once by each backend"
    assert all(".tmp-" in line for line in ours)
