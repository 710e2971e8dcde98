"""The door of a server, over real sockets: what the loop answers, what Flask does, and what neither reads."""

import contextlib
import gzip
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask, Response, request

from services.stack.stack import free_ports
from shared.errors import InvalidRequestError, UnavailableError
from shared.settings import Settings
from shared.web import server
from shared.web.problems import install_problems
from shared.web.request_metrics import instrument

MAX_BODY_BYTES = 2**20


def load() -> server.HttpServer:
    """Routes for every way through: the loop's answers say so, Flask's say what came."""
    app = Flask("test", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    instrument(app)
    install_problems(app)

    @app.route("/<path:path>", methods=["GET", "POST"])
    def flask(path: str) -> Any:
        if path == "wrong":
            raise InvalidRequestError("it is wrong")
        if path == "chunks" and request.content_length is None:
            return Response("no length", 411)
        return {"path": path, "query": request.query_string.decode(), "got": len(request.get_data())}

    async def direct(path: re.Match[str], _: Any, body: bytes) -> tuple[dict[str, str], bytes] | None:
        if path[1] == "down":
            raise UnavailableError("nobody is there")
        if path[1] == "wrong":
            raise InvalidRequestError("it is wrong")
        return None if path[1] == "other" else ({"Content-Type": "text/plain"}, b"loop " + body)

    server.HELD_BYTES, server.BODY_TIMEOUT_S = 2 * MAX_BODY_BYTES, 4
    return server.HttpServer(app, {"/<what>": ("/(direct|down|wrong|other)", direct)}, threads=2)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-m", "tests.unit.web.test_server", str(port)])
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/x", timeout=5)
            break
        except requests.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def raw(port: int, text: bytes) -> bytes:
    """What is answered to bytes as they are, until the server has no more to say."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text)
        answer = b""
        connection.settimeout(2)
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            pass
        return answer


def test_the_loop_answers_its_routes_and_flask_all_others(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    answer = requests.post(f"{url}/direct", b"abc", headers={"X-Request-Id": "mine"}, timeout=10)
    assert (answer.text, answer.headers["X-Request-Id"], answer.headers["Content-Type"]) == (
        "loop abc",
        "mine",
        "text/plain",
    )
    assert requests.post(f"{url}/other?a=%20b&a=c", b"abc", timeout=10).json() == {
        "path": "other",
        "query": "a=%20b&a=c",
        "got": 3,
    }
    assert requests.get(f"{url}/direct", timeout=10).json()["path"] == "direct"
    assert requests.get(f"{url}/caf%C3%A9%2Fx", timeout=10).json()["path"] == "café/x"
    assert requests.head(f"{url}/x", timeout=10).status_code == 200


def test_errors_are_problem_documents_on_either_way(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    down = requests.post(f"{url}/down", timeout=10)
    assert (down.status_code, down.json()["detail"]) == (503, "nobody is there")
    assert down.headers["Retry-After"]
    wrong = requests.post(f"{url}/wrong", timeout=10)
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "it is wrong")
    assert requests.delete(f"{url}/x", timeout=10).headers["Content-Type"] == "application/problem+json"


def test_a_body_is_read_up_to_the_limit_and_no_further(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    assert requests.post(f"{url}/x", bytes(MAX_BODY_BYTES), timeout=10).json()["got"] == MAX_BODY_BYTES
    head = f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    assert raw(port, head).startswith(b"HTTP/1.1 413")
    chunks = b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert raw(port, chunks).startswith(b"HTTP/1.1 411")


def test_a_compressed_body_is_not_unpacked(port: int) -> None:
    """A few kB of it can hold anything."""
    packed = gzip.compress(bytes(64 * MAX_BODY_BYTES))
    answer = requests.post(f"http://127.0.0.1:{port}/direct", packed, headers={"Content-Encoding": "gzip"}, timeout=10)
    assert answer.content == b"loop " + packed


def test_who_asks_whether_to_go_on_is_told(port: int) -> None:
    text = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b'"got":3' in connection.recv(65536)


def test_headers_and_lines_have_an_end(port: int) -> None:
    for text in (
        b"GET /" + b"a" * 10**6 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 10**6,
        b"no HTTP\r\n\r\n",
    ):
        with contextlib.suppress(ConnectionError):  # it was closed while there was more to send
            assert raw(port, text)[5:].startswith((b"1.0 400", b"1.1 400"))


def test_slow_bodies_hold_nobody_up_and_too_many_at_once_are_refused(port: int) -> None:
    head = f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\nabc".encode()
    large = bytes(2 * server.SMALL_BYTES)
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2)]
    try:
        for connection in slow:
            connection.sendall(head)
        time.sleep(0.3)
        assert requests.get(f"http://127.0.0.1:{port}/x", timeout=10).status_code == 200
        assert requests.post(f"http://127.0.0.1:{port}/direct", b"abc", timeout=10).status_code == 200
        refused = requests.post(f"http://127.0.0.1:{port}/direct", large, timeout=10)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        slow[0].settimeout(30)
        assert b"408" in slow[0].recv(65536).splitlines()[0]
    finally:
        for connection in slow:
            connection.close()
    deadline = time.monotonic() + 10
    while requests.post(f"http://127.0.0.1:{port}/direct", large, timeout=10).status_code != 200:
        assert time.monotonic() < deadline, "what was held is not let go"


if __name__ == "__main__":
    server.serve(load, Settings.from_env({}), int(sys.argv[1]))
