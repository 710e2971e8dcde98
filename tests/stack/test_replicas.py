"""Several trainers, predictors and gateways: work is shared out, and nobody notices when one of them is killed."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import requests

from services.cli.client import Client
from services.stack.stack import Stack
from tests.faults.process_control import kill, read_process_file
from tests.faults.trainer_replicas import share_out
from tests.polling import wait_until
from tests.running_stack import running_suite_stack, started_gateway
from tests.stack.processes import find_processes
from tests.unit.data.zip_files import pack, pictures_of

pytestmark = pytest.mark.stack

DIGITS = {"network": "mlp", "dataset": "digits", "epochs": 1}
INFER = "/v2/models/welcome-pytorch/infer"
SEVEN = Path("samples/seven.png")
IMAGES = np.zeros((1, 28, 28, 1), np.uint8)


@pytest.fixture(scope="module")
def replicated() -> Iterator[Stack]:
    """Yield a stack of one backend with two trainers and two predictors."""
    with running_suite_stack({"TANDEM_BACKENDS": "pytorch", "TANDEM_THREADS": "1"}, trainers=2, predictors=2) as stack:
        wait_for_predictors(Client(stack.url), 2)
        yield stack


@pytest.fixture(scope="module")
def gateways(replicated: Stack) -> Iterator[tuple[Client, Client]]:
    """Yield the clients of two gateways with the same Redis and the same volumes."""
    with started_gateway(replicated) as url:
        yield Client(replicated.url), Client(url)


def wait_for_predictors(client: Client, count: int) -> None:
    def are_up() -> bool:
        found = client.get("/v1/status")["backends"]["pytorch"]["predictors"]
        return [predictor["state"] for predictor in found].count("up") == count

    wait_until(are_up, message=f"there are no {count} predictors", timeout_s=240, every_s=0.25)


def list_processes(client: Client) -> list[dict]:
    return [predictor["process"] for predictor in client.get("/v1/status")["backends"]["pytorch"]["predictors"]]


class Load:
    """Clients that predict without pause: two with JSON, two with binary tensors and one with a picture.

    Attributes:
        answered: how many requests were answered.
        failures: the answers that were not complete.
    """

    def __init__(self, url: str) -> None:
        self._url, self._stop = url, threading.Event()
        self.answered, self.failures = 0, list[str]()
        senders = (self._send_json, self._send_json, self._send_binary, self._send_binary, self._send_picture)
        self._threads = [threading.Thread(target=self._repeat, args=(sender,)) for sender in senders]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        goal = self.answered + count
        wait_until(lambda: self.answered + len(self.failures) >= goal, message="the load does not go on")

    def _repeat(self, send: Callable[[requests.Session], requests.Response]) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                try:
                    answer = send(session)
                except requests.RequestException as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code == 200:
                    self.answered += 1
                else:
                    self.failures.append(f"{answer.status_code}: {answer.text[:200]}")

    def _send_json(self, session: requests.Session) -> requests.Response:
        return session.post(f"{self._url}{INFER}", json=tensor(data=IMAGES.ravel().tolist()), timeout=120)

    def _send_binary(self, session: requests.Session) -> requests.Response:
        head = json.dumps(tensor(parameters={"binary_data_size": IMAGES.nbytes})).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        return session.post(f"{self._url}{INFER}", data=head + IMAGES.tobytes(), headers=headers, timeout=120)

    def _send_picture(self, session: requests.Session) -> requests.Response:
        return session.post(f"{self._url}/v1/predictions?model=welcome", data=SEVEN.read_bytes(), timeout=120)


def tensor(**content: object) -> dict:
    return {"inputs": [{"name": "image", "shape": list(IMAGES.shape), "datatype": "UINT8", **content}]}


def find_predictor(stack: Stack, address: str) -> list[int]:
    pids = find_processes(stack.settings, "services.pytorch.predictor")
    return [
        pid for pid in pids if f"TANDEM_BIND_HOST={address}".encode() in read_process_file(pid, "environ").split(b"\0")
    ]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_no_request_fails_when_one_of_two_predictors_is_killed_and_it_gets_calls_again(
    replicated: Stack, address: str
) -> None:
    client = Client(replicated.url)
    wait_for_predictors(client, 2)
    with Load(replicated.url) as load:
        load.wait_for(50)
        kill(find_predictor(replicated, address), signal.SIGKILL)
        load.wait_for(200)
        wait_for_predictors(client, 2)  # supervisor starts it again
        load.wait_for(50)
    assert load.failures == []
    metrics = requests.get(f"{replicated.url}/metrics", timeout=120).text
    assert 'tandem_predictors_up{backend="pytorch"} 2.0' in metrics


def test_no_request_fails_when_one_of_two_predictors_hangs(replicated: Stack) -> None:
    client = Client(replicated.url)
    wait_for_predictors(client, 2)
    pids = find_predictor(replicated, "127.0.0.2")
    with Load(replicated.url) as load:
        load.wait_for(50)
        kill(pids, signal.SIGSTOP)
        try:
            wait_for_predictors(client, 1)
            load.wait_for(200)
        finally:
            kill(pids, signal.SIGCONT)
    assert load.failures == []


def test_two_trainers_share_trainings_and_publish_each_once_while_they_are_killed(replicated: Stack) -> None:
    outcome = share_out(replicated, jobs=8, kills=3, seed=0, epochs=10)  # one kill of each kind
    assert outcome.faults == []
    assert outcome.kills == 3
    assert outcome.succeeded == 8
    assert outcome.trainers_used["pytorch"] >= 2


def test_a_load_test_counts_the_memory_and_the_cpu_time_of_both_predictors(replicated: Stack) -> None:
    client = Client(replicated.url)
    wait_for_predictors(client, 2)
    before = list_processes(client)
    work = client.post("/v1/loadtests", {"model": "welcome", "scenario": "offline", "duration_s": 2})
    found = client.follow(f"/v1/loadtests/{work['id']}")
    after = list_processes(client)
    assert found["conditions"]["predictors"] == {"pytorch": 2}
    (result,) = found["results"]["pytorch"]
    memory = [sum(process["peak_memory_bytes"] for process in processes) for processes in (before, after)]
    assert memory[0] <= result["peak_memory_bytes"] <= memory[1]
    used_s = sum(new["cpu_seconds"] - old["cpu_seconds"] for old, new in zip(before, after, strict=True))
    assert 0 < result["cpu_seconds_per_1000"] * result["queries"] / 1000 <= used_s


def test_a_training_that_is_submitted_at_one_gateway_is_watched_at_the_other(gateways: tuple[Client, Client]) -> None:
    one, other = gateways
    training = one.post("/v1/trainings", {**DIGITS, "name": "watched"})
    with requests.get(f"{other.url}/v1/trainings/{training['id']}/events", stream=True, timeout=120) as answer:
        states = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith(b"data: ")]
    assert states[-1]["status"] == "succeeded"
    assert states[-1] == one.get(f"/v1/trainings/{training['id']}")
    answer = requests.post(
        f"{other.url}/v1/predictions?model=watched", data=Path("samples/seven-8x8.png").read_bytes(), timeout=120
    )
    assert answer.status_code == 200, answer.text


def test_an_idempotency_key_counts_at_both_gateways(gateways: tuple[Client, Client]) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answers = [
        requests.post(f"{gateway.url}/v1/trainings", json={**DIGITS, "name": "once"}, headers=headers, timeout=120)
        for gateway in gateways
    ]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    gateways[1].follow(answers[0].headers["Location"])


def test_a_dataset_that_is_uploaded_at_one_gateway_is_read_and_deleted_at_the_other(
    gateways: tuple[Client, Client],
) -> None:
    one, other = (f"{gateway.url}/v1/datasets/shades" for gateway in gateways)
    uploaded = requests.put(one, data=pack(pictures_of("dark", "light", count=12)), timeout=120)
    assert uploaded.status_code == 201, uploaded.text
    samples = [requests.get(f"{url}/samples.png?count=2", timeout=120) for url in (one, other)]
    assert samples[0].content == samples[1].content
    training = gateways[1].post("/v1/trainings", {**DIGITS, "dataset": "shades"})
    assert gateways[0].follow(f"/v1/trainings/{training['id']}")["status"] == "succeeded"
    assert requests.delete(other, timeout=120).status_code == 204
    assert requests.get(f"{one}/samples.png", timeout=120).status_code == 422


def test_a_token_that_is_made_at_one_gateway_counts_at_the_other(gateways: tuple[Client, Client]) -> None:
    """This is the last test of the module: from the first token on, both gateways require one."""
    one, other = gateways
    created = one.post("/v1/tokens", {"name": "both", "scopes": ["admin"]})
    headers = {"Authorization": f"Bearer {created['token']}"}
    for gateway in (one, other):
        wait_until(
            lambda url=gateway.url: requests.get(f"{url}/v1/trainings", timeout=10).status_code == 401,
            message="the gateway does not require a token",
        )
        assert requests.get(f"{gateway.url}/v1/trainings", headers=headers, timeout=10).status_code == 200
    path = f"{other.url}/v1/tokens/{created['id']}"
    assert requests.delete(path, headers=headers, timeout=10).status_code in (204, 409)
