"""Faults: killed processes, a corrupt model and a forged job. The fault is reported, and the rest keeps working."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
import requests
from redis import Redis
from rq import Queue

from services.cli.client import Client
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_processes, find_work_horses, find_worker

pytestmark = pytest.mark.stack

LONG = {"dataset": "digits", "epochs": 400, "batch_size": 16, "backends": ["pytorch"]}


def predictor_is_up(client: Client) -> bool:
    return client.get("/v1/status")["backends"]["pytorch"]["predictor"] == "up"


def start_long_training(client: Client, name: str) -> str:
    """Submit a training of many epochs, wait for its second epoch and return its path."""
    path = f"/v1/trainings/{client.post('/v1/trainings', {**LONG, 'name': name})['id']}"
    wait_until(lambda: client.get(path)["runs"]["pytorch"]["epoch"] >= 2, message="the second epoch was not reached")
    return path


def test_a_run_whose_worker_process_is_killed_still_succeeds(client: Client, redis: Redis, settings: Settings) -> None:
    path = start_long_training(client, "killed")
    (horse,) = find_work_horses(redis)
    os.kill(horse, signal.SIGKILL)
    training = client.follow(path)
    assert len(training["runs"]["pytorch"]["history"]) == 400
    assert ModelRegistry(settings.model_dir).versions("killed", "pytorch") == [training["version"]]


def test_a_run_whose_worker_process_always_dies_fails_with_that_reason(client: Client, redis: Redis) -> None:
    path = start_long_training(client, "poison")
    killed: set[int] = set()
    for _ in range(3):
        (horse,) = wait_until(lambda: set(find_work_horses(redis)) - killed, message="no new work horse was started")
        os.kill(horse, signal.SIGKILL)
        killed.add(horse)
    wait_until(lambda: client.get(path)["status"] == "failed", message="the training did not fail")
    assert "died each time" in client.get(path)["runs"]["pytorch"]["error"]


def test_a_run_of_a_trainer_that_is_stopped_is_finished_by_the_next_trainer(
    client: Client, redis: Redis, settings: Settings
) -> None:
    path = start_long_training(client, "stopped")
    trainer = find_worker(redis, "pytorch").pid
    assert trainer is not None
    os.kill(trainer, signal.SIGTERM)
    wait_until(
        lambda: trainer not in find_processes(settings, "services.pytorch.trainer"), message="the trainer did not end"
    )
    training = client.follow(path)
    assert training["runs"]["pytorch"]["epoch"] == 400


def test_a_run_whose_trainer_and_worker_process_are_killed_is_resumed(client: Client, settings: Settings) -> None:
    path = start_long_training(client, "missed")
    for pid in find_processes(settings, "services.pytorch.trainer"):
        os.kill(pid, signal.SIGKILL)
    training = client.follow(path)
    assert training["runs"]["pytorch"]["resumed_after"] >= 1
    assert training["runs"]["pytorch"]["epoch"] == 400


def test_a_predictor_that_is_down_is_listed_in_errors_while_the_other_answers(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    picture = Path("samples/seven-8x8.png").read_bytes()

    def ask() -> dict:
        answer = requests.post(url, data=picture, headers={"Content-Type": "image/png"}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert ask()["errors"] == {}
    for pid in find_processes(settings, "services.pytorch.predictor"):
        os.kill(pid, signal.SIGKILL)
    answer = ask()
    assert list(answer["errors"]) == ["pytorch"]
    assert answer["images"][0]["results"]["tensorflow"]["class"] == "7"
    assert answer["images"][0]["agree"] is None
    wait_until(lambda: ask()["errors"] == {}, message="the predictor did not come back")


def test_under_load_a_killed_predictor_affects_only_its_own_results(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    picture = Path("samples/seven-8x8.png").read_bytes()
    responses: list[requests.Response] = []
    stop = Event()

    def predict_repeatedly() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                responses.append(session.post(url, data=picture, headers={"Content-Type": "image/png"}, timeout=30))

    def is_complete(answer: requests.Response) -> bool:
        return answer.json()["errors"] == {}

    def is_complete_after(count: int) -> bool:
        return len(responses) > count and is_complete(responses[-1])

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(predict_repeatedly)
        try:
            wait_until(lambda: len(responses) > 50, message="there were no 50 responses")
            assert all(map(is_complete, responses[:50]))
            for _ in range(2):  # the second time shows that the first left no trace
                for pid in find_processes(settings, "services.pytorch.predictor"):
                    os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not is_complete(responses[-1]), message="the dead predictor was not missed")
                wait_until(lambda: predictor_is_up(client), message="the predictor did not come back")
                wait_until(partial(is_complete_after, len(responses) + 4), message="the responses stayed incomplete")
        finally:
            stop.set()
    assert {answer.status_code for answer in responses} == {200}
    for answer in responses:
        body = answer.json()
        assert set(body["errors"]) <= {"pytorch"}
        assert body["images"][0]["results"]["tensorflow"]["class"] == "7"
        assert ("pytorch" in body["errors"]) != ("pytorch" in body["images"][0]["results"])


def test_a_model_with_a_flipped_byte_is_not_served(client: Client, settings: Settings) -> None:
    training = client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "flipped"})
    training = client.follow(f"/v1/trainings/{training['id']}")
    weights = ModelRegistry(settings.model_dir).path("flipped", "pytorch", 1) / "weights.safetensors"
    good = weights.read_bytes()
    data = bytearray(good)
    data[-1] ^= 1
    try:
        weights.write_bytes(data)
        for pid in find_processes(settings, "services.pytorch.predictor"):
            os.kill(pid, signal.SIGKILL)  # the new process has to load the model again
        wait_until(lambda: predictor_is_up(client), message="the predictor did not come back")
        picture = Path("samples/seven-8x8.png").read_bytes()
        headers = {"Content-Type": "image/png"}
        answer = requests.post(f"{client.url}/v1/predictions?model=flipped", data=picture, headers=headers, timeout=30)
        assert answer.status_code == 200
        assert "was changed after its publication" in answer.json()["errors"]["pytorch"]
        assert list(answer.json()["images"][0]["results"]) == ["tensorflow"]
        alone = f"{client.url}/v1/predictions?model=flipped&backends=pytorch"
        assert requests.post(alone, data=picture, headers=headers, timeout=30).status_code == 503
    finally:
        weights.write_bytes(good)


@pytest.mark.parametrize(
    "function", ["os.system", "shared.jobs.worker.perform"], ids=["forbidden function", "wrong signature"]
)
def test_a_forged_job_is_not_run(client: Client, redis: Redis, tmp_path: Path, function: str) -> None:
    mark = tmp_path / "was-run"
    queue = Queue("pytorch", connection=redis, serializer="json")
    payload = '{"kind": "training", "id": "x", "backend": "pytorch"}'
    arguments = (f"touch {mark}",) if function == "os.system" else (payload, "0" * 64)
    job = queue.enqueue(function, *arguments, on_failure="os.abort", job_id=f"training-{uuid4().hex}-pytorch")
    wait_until(lambda: not redis.exists(job.key), message="the forged job was not removed")
    assert not mark.exists()
    assert redis.hgetall("tandem:training:x:pytorch") == {}


@contextmanager
def replaced_by_a_file(folder: Path) -> Iterator[None]:
    """Put a file in the place of a folder, so that nothing can be written into it. Afterwards, restore the folder."""
    aside = folder.with_name(f"{folder.name}-aside")
    if folder.exists():
        folder.rename(aside)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    try:
        yield
    finally:
        if folder.is_file():
            folder.unlink()
        if aside.exists():
            aside.rename(folder)


@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
@pytest.mark.parametrize(
    ("folder", "warning"), [(".scratch", "checkpoints could not be written"), (".tensorboard", "TensorBoard")]
)
def test_a_training_that_cannot_write_its_checkpoints_or_event_files_succeeds_with_a_warning(
    client: Client, settings: Settings, backend: str, folder: str, warning: str
) -> None:
    request = {"dataset": "digits", "epochs": 2, "backends": [backend], "name": f"warned{folder.replace('.', '-')}"}
    with replaced_by_a_file(settings.model_dir / folder):
        training = client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    run = training["runs"][backend]
    assert run["status"] == "succeeded"
    assert len(run["history"]) == 2
    assert [text for text in run["warnings"] if warning in text]


def test_a_training_while_the_predictor_is_down_succeeds_with_a_warning(client: Client, settings: Settings) -> None:
    request = {"dataset": "digits", "epochs": 1, "backends": ["pytorch"], "name": "not-warmed"}
    path = f"/v1/trainings/{client.post('/v1/trainings', request)['id']}"

    def has_ended_without_a_predictor() -> bool:
        for pid in find_processes(settings, "services.pytorch.predictor"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return client.get(path)["status"] == "succeeded"

    wait_until(has_ended_without_a_predictor, message="the training did not succeed")
    (warning,) = client.get(path)["runs"]["pytorch"]["warnings"]
    assert "pytorch's predictor did not answer" in warning
    health = f"{client.url}/v2/models/not-warmed-pytorch/ready"
    # Supervisor waits a second longer after each failed start.
    wait_until(lambda: requests.get(health, timeout=10).ok, message="the predictor is not back", timeout_s=180)


def test_a_model_that_cannot_be_written_for_a_while_is_published_later(client: Client, settings: Settings) -> None:
    request = {"dataset": "digits", "epochs": 1, "backends": ["pytorch"], "name": "published-later"}
    with replaced_by_a_file(settings.model_dir / "published-later"):
        path = f"/v1/trainings/{client.post('/v1/trainings', request)['id']}"
        wait_until(lambda: client.get(path)["runs"]["pytorch"]["epoch"] == 1, message="the epoch was not trained")
    assert client.follow(path)["status"] == "succeeded"


def test_a_model_that_can_never_be_written_fails_with_what_to_do_and_leaves_no_file(
    client: Client, settings: Settings
) -> None:
    request = {"dataset": "digits", "epochs": 1, "backends": ["pytorch"], "name": "never-published"}
    place = settings.model_dir / "never-published"
    with replaced_by_a_file(place):
        path = f"/v1/trainings/{client.post('/v1/trainings', request)['id']}"
        wait_until(lambda: client.get(path)["status"] == "failed", message="the training did not fail")
    assert "free space on the model volume" in client.get(path)["runs"]["pytorch"]["error"]
    assert not place.exists()
