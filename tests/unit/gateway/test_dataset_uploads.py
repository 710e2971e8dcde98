"""Datasets over HTTP: a zip file becomes a dataset completely, or is refused and leaves nothing behind."""

import contextlib
import io
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from services.stack.stack import free_ports
from tests.polling import wait_until
from tests.unit.data.test_zip_directory import REFUSED
from tests.unit.data.zip_files import pack, pictures_of
from tests.unit.gateway.gateway_process import environ_of

MAX_BYTES = 16 * 2**20
PETS = pictures_of("cat", "dog")
OTHER_PETS = pictures_of("bird", "cat", "dog", count=6, first=100)


class Gateway:
    """A gateway without Redis and without trainers.

    Attributes:
        uploads: the folder of its uploaded datasets.
    """

    def __init__(self, state: Path) -> None:
        (port,) = free_ports(1)
        self.port, self.state, self.uploads = port, state, state / "uploads"
        self.url = f"http://127.0.0.1:{port}"
        more = {
            "TANDEM_DATA_DIR": str(state / "own"),
            "TANDEM_MAX_UPLOAD_BYTES": str(MAX_BYTES),
            "TANDEM_RATE_LIMIT": "0",
        }
        command = [sys.executable, "-m", "tests.unit.gateway.gateway_process"]
        self.process = subprocess.Popen(command, env=environ_of(state, port, more))
        wait_until(self._answers, message="the gateway does not answer")

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/v2/health/live", timeout=5).ok
        return False

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """End the process."""
        self.process.send_signal(signum)
        self.process.wait(30)

    def put(self, name: str, content: bytes) -> requests.Response:
        return requests.put(f"{self.url}/v1/datasets/{name}", data=content, timeout=60)

    def delete(self, name: str) -> requests.Response:
        return requests.delete(f"{self.url}/v1/datasets/{name}", timeout=30)

    def get(self, path: str, **options: dict[str, str]) -> requests.Response:
        return requests.get(f"{self.url}/v1/datasets{path}", timeout=30, **options)

    def listed(self, name: str) -> dict | None:
        """Return what the listing says of a dataset, or None if it is not listed."""
        return next((entry for entry in self.get("").json()["datasets"] if entry["name"] == name), None)

    def leftovers(self) -> list[str]:
        """Return the files of uploads that are not complete."""
        return [path.name for path in (self.uploads / "incoming").glob("*")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    state = tmp_path_factory.mktemp("state")
    (state / "own/theirs/train/a").mkdir(parents=True)
    started = Gateway(state)
    yield started
    started.stop()


def test_a_zip_file_becomes_a_dataset_is_replaced_and_deleted(gateway: Gateway) -> None:
    answer = gateway.put("pets", pack(PETS))
    assert answer.status_code == 201, answer.text
    assert gateway.listed("pets") == answer.json()
    assert answer.json()["source"] == "upload"
    assert (answer.json()["classes"], answer.json()["sizes"]) == (["cat", "dog"], {"train": 6, "test": 2})
    assert gateway.put("pets", pack(PETS)).status_code == 200
    assert gateway.put("pets", pack(OTHER_PETS)).json()["classes"] == ["bird", "cat", "dog"]
    assert gateway.listed("pets")["sizes"] == {"train": 15, "test": 3}
    assert gateway.delete("pets").status_code == 204
    assert gateway.listed("pets") is None
    assert gateway.delete("pets").status_code == 404
    assert gateway.leftovers() == []


def test_a_picture_is_the_one_in_the_zip_file_and_can_be_kept(gateway: Gateway) -> None:
    files = {**pictures_of("cat", "dog", count=2), "dataset.json": b'{"size": 12}'}
    gateway.put("small", pack(files))
    answer = gateway.get("/small/pictures/train/1.png")
    assert answer.headers["X-Label"] == "1"
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
    expected = {np.asarray(Image.open(io.BytesIO(files[f"dog/{index}.png"]))).tobytes() for index in range(2)}
    assert pixels.tobytes() in expected
    again = gateway.get("/small/pictures/train/1.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert gateway.get("/small/pictures/train/2.png").json()["detail"].endswith("has the pictures 0 to 1, and no 2")
    assert gateway.get("/small/pictures/nothing/0.png").status_code == 422
    assert gateway.get("/digits/pictures/test/359.png").status_code == 200


def test_the_samples_of_an_upload_are_drawn_until_it_is_deleted(gateway: Gateway) -> None:
    gateway.put("drawn", pack(PETS))
    first = gateway.get("/drawn/samples.png?count=4")
    assert (first.status_code, first.headers["Content-Type"]) == (200, "image/png")
    figure = Image.open(io.BytesIO(first.content))
    assert min(figure.size) > 100
    assert gateway.get("/drawn/samples.png?count=100").status_code == 200, "there are only 6 training pictures"
    gateway.put("drawn", pack(OTHER_PETS))
    assert gateway.get("/drawn/samples.png?count=4").content != first.content
    assert gateway.delete("drawn").status_code == 204
    assert gateway.get("/drawn/samples.png").status_code == 422


@pytest.mark.parametrize(
    "what", ["parent", "symbolic link", "bomb", "100,000 entries", "broken picture", "truncated", "overlapping"]
)
def test_an_attack_is_refused_and_leaves_nothing(gateway: Gateway, what: str) -> None:
    content, message = REFUSED[what]
    answer = gateway.put("pets", content)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]
    assert gateway.listed("pets") is None
    assert gateway.leftovers() == []


def test_other_datasets_are_not_replaced(gateway: Gateway) -> None:
    for name, status in (("mnist", 409), ("theirs", 409), ("Pets", 422), ("..", 404)):
        assert gateway.put(name, pack(PETS)).status_code == status
        assert gateway.delete(name).status_code in (404, 409)


def test_a_form_gets_the_command_that_works(gateway: Gateway) -> None:
    answer = requests.put(f"{gateway.url}/v1/datasets/pets", files={"file": pack(PETS)}, timeout=30)
    assert answer.status_code == 422
    assert "curl -T" in answer.json()["detail"]


def test_of_two_uploads_at_once_each_is_complete_and_readers_see_one_of_them(gateway: Gateway) -> None:
    contents = [pack(PETS), pack(OTHER_PETS)]
    gateway.put("both", contents[0])
    answers: list[requests.Response] = []
    threads = [threading.Thread(target=lambda c=c: answers.append(gateway.put("both", c))) for c in contents * 2]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        entry = gateway.listed("both")
        seen.add((len(entry["classes"]), entry["sizes"]["train"]))
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {(len(answer.json()["classes"]), answer.json()["sizes"]["train"]) for answer in answers} == {(2, 6), (3, 15)}
    assert seen <= {(2, 6), (3, 15)}
    assert gateway.delete("both").status_code == 204


def begin_upload(gateway: Gateway) -> socket.socket:
    """Send a part of an upload, and wait until it is on the disk."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    head = f"PUT /v1/datasets/half HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {MAX_BYTES}\r\n\r\n"
    connection.sendall(head.encode() + bytes(2 * 2**20))
    wait_until(gateway.leftovers, message="the upload has not begun")
    return connection


def test_a_killed_gateway_leaves_files_that_the_next_start_removes(tmp_path: Path) -> None:
    first = Gateway(tmp_path)
    first.put("pets", pack(PETS))
    with begin_upload(first):
        first.stop(signal.SIGKILL)
    assert first.leftovers()
    (first.uploads / "versions/pets.00000000000000000000000000000000").mkdir()
    second = Gateway(tmp_path)
    try:
        wait_until(lambda: not second.leftovers(), message="the file of the killed gateway is still there")
        assert second.listed("pets")["ready"]
        assert second.listed("half") is None
    finally:
        second.stop()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does: first the zip file's, then the arrays'."""
    limit = 2**20
    started = Gateway(tmp_path)
    resource.prlimit(started.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    try:
        small_zip_large_arrays = pack({**PETS, "dataset.json": b'{"size": 512}'})
        for content in (bytes(2 * limit), small_zip_large_arrays):
            answer = started.put("pets", content)
            assert answer.status_code == 507, answer.text
            assert "no room left" in answer.json()["detail"]
            assert started.leftovers() == []
        assert started.listed("pets") is None
        assert started.put("pets", pack(PETS)).status_code == 201
    finally:
        started.stop()
