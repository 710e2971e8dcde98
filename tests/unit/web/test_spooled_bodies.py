"""A large body goes to a file: within its limits, never into memory, and no file is left behind."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from flask import Flask, request

from services.stack.stack import free_ports
from shared.errors import ConflictError
from shared.settings import Settings
from shared.web.body_reader import BodyLimits
from shared.web.problems import install_problems
from shared.web.server import HttpServer, serve
from shared.web.spooled_bodies import IS_CONNECTED, SPOOLED_BODY, BodySpooler
from tests.polling import wait_until

MAX_BYTES = 2**20


def load(folder: Path) -> HttpServer:
    """Return a server with one route whose body goes to a file. The route answers with its size."""
    app = Flask("test", static_folder=None)
    install_problems(app)

    @app.route("/files/<name>", methods=["GET", "PUT"])
    def store(name: str) -> str:
        path = request.environ.get(SPOOLED_BODY)
        if name == "left":
            wait_until(lambda: not request.environ[IS_CONNECTED](), message="the client did not leave")
        return f"{name} {path.stat().st_size if path else 'no file'}"

    def check(match: re.Match[str]) -> None:
        if match["name"] == "taken":
            raise ConflictError("the name is taken")

    spooler = BodySpooler(
        "PUT",
        re.compile("/files/(?P<name>[^/]+)"),
        "",
        folder,
        "TANDEM_FOLDER",
        MAX_BYTES,
        check,
        max_bodies=2,
        limits=BodyLimits(window_s=1, window_bytes=100),
    )
    return HttpServer(app, [], 2, spooler=spooler)


class Server(NamedTuple):
    """A running server: its port, and the folder of its files."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/files/one"

    def is_empty(self) -> bool:
        """Return whether no file is left."""
        return not list(self.folder.iterdir())

    def begin(self, head: str, body: bytes = b"") -> socket.socket:
        """Send the beginning of a request, and return the connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(f"PUT /files/one HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
        return connection


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, "-m", "tests.unit.web.test_spooled_bodies", str(port), folder])

        def answers() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"http://127.0.0.1:{port}/files/x", timeout=5).ok
            return False

        wait_until(answers, message="the server does not answer")
        yield Server(port, Path(folder))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def status_of(connection: socket.socket) -> int:
    """Return the status of the response that comes over a connection, and close it."""
    with connection:
        return int(connection.recv(65_536).split()[1])


@pytest.mark.parametrize("size", [0, 1, 1000, MAX_BYTES])
def test_a_body_arrives_completely_however_it_is_sent(server: Server, size: int) -> None:
    body = bytes(size)
    for sent in (body, iter([body[: size // 2], body[size // 2 :]])):
        assert requests.put(server.url, data=sent, timeout=10).text == f"one {size}"
    assert server.is_empty()


def test_a_route_learns_that_its_client_has_left(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"PUT /files/left HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        wait_until(lambda: not server.is_empty(), message="no file was written")
    wait_until(server.is_empty, message="the route still waits for its client")


def test_other_methods_of_the_path_have_no_file(server: Server) -> None:
    assert requests.get(server.url, timeout=10).text == "one no file"


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(server: Server) -> None:
    assert status_of(server.begin(f"Content-Length: {MAX_BYTES + 1}")) == 413
    assert status_of(server.begin(f"Content-Length: {MAX_BYTES + 1}\r\nExpect: 100-continue")) == 413


def test_a_chunked_body_that_is_too_large_is_refused(server: Server) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    connection = server.begin("Transfer-Encoding: chunked")
    with contextlib.suppress(ConnectionError):  # the server does not read the rest
        for _ in range(MAX_BYTES // 0x10000 + 1):
            connection.sendall(chunk)
    assert status_of(connection) == 413
    wait_until(server.is_empty, message="a file is left")


def test_a_client_that_waits_gets_a_go_ahead(server: Server) -> None:
    connection = server.begin("Content-Length: 3\r\nExpect: 100-continue")
    assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
    connection.sendall(b"abc")
    assert status_of(connection) == 200


def test_what_the_route_refuses_is_refused_before_the_body_is_sent(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"PUT /files/taken HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert connection.recv(1000).split()[1] == b"409"


def test_a_compressed_body_is_refused(server: Server) -> None:
    answer = requests.put(server.url, data=b"x", headers={"Content-Encoding": "gzip"}, timeout=10)
    assert answer.status_code == 415
    assert "send the file as it is" in answer.json()["detail"]


def test_a_slow_client_is_refused_and_one_that_vanishes_leaves_nothing(server: Server) -> None:
    slow = server.begin("Content-Length: 1000", b"abc")
    server.begin("Content-Length: 1000", b"abc").close()
    assert status_of(slow) == 408
    wait_until(server.is_empty, message="a file is left")


def test_only_some_bodies_are_received_at_the_same_time(server: Server) -> None:
    both = [server.begin("Content-Length: 500000", bytes(1000)) for _ in range(2)]
    wait_until(lambda: len(list(server.folder.iterdir())) == 2, message="the bodies are not being received")
    assert status_of(server.begin("Content-Length: 10", bytes(10))) == 503
    for connection in both:
        connection.sendall(bytes(499_000))
        assert status_of(connection) == 200
    assert requests.put(server.url, data=b"abc", timeout=10).status_code == 200


if __name__ == "__main__":
    serve(lambda: load(Path(sys.argv[2])), Settings.from_env({"TANDEM_LOGS": "text"}), int(sys.argv[1]))
