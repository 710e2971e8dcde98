"""Requests that arrive completely are answered directly. All others get the same responses by way of aiohttp."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from flask import Flask

from services.stack.stack import free_ports
from shared.errors import InvalidRequestError
from shared.settings import Settings
from shared.web.complete_requests import MAX_BODY_BYTES, CompleteRequestConnection
from shared.web.problems import install_problems
from shared.web.routes import BufferedRequest, Route
from shared.web.server import HttpServer, serve
from tests.polling import wait_until

DIRECTLY = CompleteRequestConnection._respond.__qualname__


def load() -> HttpServer:
    """Return a server whose routes describe the request that they got, and who called them."""
    app, go = Flask("test", static_folder=None), asyncio.Event()
    install_problems(app)

    async def echo(request: BufferedRequest) -> web.Response:
        what, task = request.path_values["what"], asyncio.current_task()
        assert task is not None
        if what == "wrong":
            raise InvalidRequestError("it is wrong")
        if what == "go":
            go.set()
        if what == "wait":
            await go.wait()
        if what == "slow":
            await asyncio.sleep(1)
        if what == "split":
            return web.Response(headers={"X-Made-Up": "a\r\nX-Other: b"}, body=b"")
        found: dict[str, Any] = {"what": what, "query": request.query, "size": len(request.body)}
        by = getattr(task.get_coro(), "__qualname__", "")
        return web.json_response(
            {**found, "caller": request.caller.key, "mine": request.headers.get("X-Mine"), "by": by}
        )

    pattern = re.compile("/loop/(?P<what>[^/]+)")
    routes = [
        Route("/loop/<what>", pattern, echo),
        Route("/state/<what>", re.compile("/state/(?P<what>.+)"), echo, method="GET"),
    ]
    return HttpServer(app, routes, 2)


class Served(NamedTuple):
    """A server's address, its Unix socket and its process."""

    port: int
    socket_path: Path
    process: subprocess.Popen[bytes]


@contextmanager
def running(folder: Path) -> Iterator[Served]:
    """Run a server. The test may end it."""
    (port,) = free_ports(1)
    path = folder / "sockets" / "echo.sock"
    process = subprocess.Popen([sys.executable, "-m", "tests.unit.web.test_complete_requests", str(port), str(path)])
    try:
        wait_until(lambda: path.exists() and process.poll() is None, message="the server does not answer")
        yield Served(port, path, process)
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served")) as found:
        yield found


class Connection:
    """A client's connection."""

    def __init__(self, served: Served, *, unix: bool = False) -> None:
        if unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(10)
            try:
                self.socket.connect(str(served.socket_path))
            except OSError:
                self.socket.close()
                raise
        else:
            self.socket = socket.create_connection(("127.0.0.1", served.port), timeout=10)
        self._received = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send each part in a packet of its own."""
        for number, part in enumerate(parts):
            if number:
                time.sleep(0.05)  # the server reads the part before
            self.socket.sendall(part)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of the next response."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines), "no header is sent twice"
        length = int(headers["Content-Length"])
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return int(first.split()[1]), headers, body

    def is_closed(self) -> bool:
        """Return whether the server closes the connection without sending more."""
        return not self._received and not self.socket.recv(1)

    def _receive(self) -> None:
        received = self.socket.recv(65536)
        assert received, "the server closed the connection"
        self._received += received


def post(what: str, body: bytes = b"abc", *lines: str, version: str = "1.1", method: str = "POST") -> bytes:
    """Return a request."""
    head = [f"{method} /loop/{what} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def echoed(connection: Connection) -> dict[str, Any]:
    status, _, body = connection.read()
    assert status == 200
    return dict(json.loads(body))


@pytest.mark.parametrize("unix", [False, True])
def test_a_complete_request_gets_the_response_that_aiohttp_would_write(served: Served, unix: bool) -> None:
    with Connection(served, unix=unix) as connection:
        for what, expected in (("echo?a=b&c=d", 200), ("wrong", 422)):
            request = post(what, b"abc", "X-Mine: yes", "X-Request-Id: mine")
            connection.send(request)
            direct = connection.read()
            connection.send(request[:-2], request[-2:])
            by_aiohttp = connection.read()
            assert direct[0] == by_aiohttp[0] == expected
            assert direct[1].keys() == by_aiohttp[1].keys()
            unequal = {name for name, value in direct[1].items() if by_aiohttp[1][name] != value}
            assert unequal <= {"Date", "Content-Length"}  # the body names who called
            if expected == 200:
                found, same = json.loads(direct[2]), json.loads(by_aiohttp[2])
                assert (found.pop("by") == DIRECTLY, same.pop("by") == DIRECTLY) == (True, False)
                assert (
                    found
                    == same
                    == {"what": "echo", "query": "a=b&c=d", "size": 3, "caller": same["caller"], "mine": "yes"}
                )
                assert found["caller"] == ("" if unix else "127.0.0.1")
            else:
                assert direct[2] == by_aiohttp[2]


def test_what_is_unusual_is_left_to_aiohttp(served: Served) -> None:
    requests = {
        "a body in two parts": (post("echo")[:-1], post("echo")[-1:]),
        "a large body": (post("echo", bytes(MAX_BODY_BYTES + 1)),),
        "HTTP/1.0": (post("echo", b"abc", "Connection: keep-alive", version="1.0"),),
        "a go-ahead": (post("echo", b"abc", "Expect: 100-continue"),),
        "a percent-encoded path": (post("ech%6f"),),
        "a percent-encoded query": (post("echo?a=%20"),),
        "a whole address": (post("echo").replace(b"/loop", b"http://x/loop"),),
    }
    for name, parts in requests.items():
        with Connection(served) as connection:
            connection.send(*parts)
            found = echoed(connection)
            assert (found["what"], found["by"] == DIRECTLY) == ("echo", False), name
            time.sleep(0.05)  # aiohttp's task begins to wait again
            connection.send(post("echo"))
            assert echoed(connection)["by"] == DIRECTLY, f"after {name}"


def test_headers_may_come_in_parts(served: Served) -> None:
    with Connection(served) as connection:
        for place in (1, 20, len(post("echo")) - 4):
            connection.send(post("echo")[:place], post("echo")[place:])
            assert echoed(connection)["by"] == DIRECTLY


def test_the_largest_and_the_smallest_body_are_complete(served: Served) -> None:
    with Connection(served) as connection:
        for size in (0, 1, 4096, MAX_BODY_BYTES):
            connection.send(post("echo", bytes(size)))
            found = echoed(connection)
            assert found["size"] == size
            assert size == MAX_BODY_BYTES or found["by"] == DIRECTLY  # the largest may come in two packets


def test_chunks_that_come_together_are_a_complete_request(served: Served) -> None:
    head = b"POST /loop/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Connection(served) as connection:
        connection.send(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        found = echoed(connection)
        assert (found["size"], found["by"]) == (5, DIRECTLY)
        connection.send(head + b"3\r\nabcX")
        assert connection.read()[0] == 400


def test_a_get_route_is_answered_directly_and_its_head_by_aiohttp(served: Served) -> None:
    with Connection(served) as connection:
        connection.send(b"GET /state/echo HTTP/1.1\r\nHost: x\r\n\r\n")
        assert echoed(connection)["by"] == DIRECTLY
        connection.send(b"HEAD /state/echo HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.socket.settimeout(10)
        head = connection.socket.recv(65536)
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n"), "a response to HEAD has no body"
        connection.send(post("echo", method="PUT"))
        assert connection.read()[0] == 405


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    with Connection(served) as connection:
        connection.send(b"".join(post(f"n{number}") for number in range(20)))
        assert [echoed(connection)["what"] for _ in range(20)] == [f"n{number}" for number in range(20)]


def test_what_comes_before_the_response_is_answered_after_it(served: Served) -> None:
    with Connection(served) as connection:
        connection.send(post("wait"), post("second"), post("third") + post("fourth")[:30], post("fourth")[30:])
        with Connection(served) as other:
            other.send(post("go"))
            assert echoed(other)["what"] == "go"
        assert [echoed(connection)["what"] for _ in range(4)] == ["wait", "second", "third", "fourth"]


def test_a_client_that_asks_for_it_is_disconnected_after_its_response(served: Served) -> None:
    with Connection(served) as connection:
        connection.send(post("echo", b"abc", "Connection: close"))
        assert echoed(connection)["what"] == "echo"
        assert connection.is_closed()


def test_an_invalid_request_after_a_direct_response_is_refused(served: Served) -> None:
    with Connection(served) as connection:
        connection.send(post("echo"))
        assert echoed(connection)["by"] == DIRECTLY
        connection.send(b"NONSENSE\r\n\r\n")
        assert connection.read()[0] == 400
        assert connection.is_closed()


def test_a_response_whose_header_would_split_it_is_not_sent(served: Served) -> None:
    with Connection(served) as connection:
        connection.send(post("split"))
        assert connection.is_closed()
    with Connection(served) as connection:
        connection.send(post("echo"))
        assert echoed(connection)["what"] == "echo"


def test_a_server_that_is_told_to_stop_answers_first(tmp_path: Path) -> None:
    with running(tmp_path) as served, Connection(served) as connection, Connection(served) as idle:
        idle.send(post("echo"))
        assert echoed(idle)["by"] == DIRECTLY
        connection.send(post("echo"))
        assert echoed(connection)["by"] == DIRECTLY
        connection.send(post("slow"))
        time.sleep(0.2)  # the server begins to answer
        served.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        found = echoed(connection)
        assert (found["what"], found["by"]) == ("slow", DIRECTLY)
        assert connection.is_closed()
        assert served.process.wait(30) == 0


def test_a_new_server_replaces_the_socket_of_one_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        first.process.kill()
        first.process.wait(30)
        assert first.socket_path.exists()
    with running(tmp_path) as second:
        wait_until(lambda: Connection(second, unix=True), message="nobody answers on the socket").socket.close()
        assert second.socket_path.stat().st_mode & 0o777 == 0o600
        assert second.socket_path.parent.stat().st_mode & 0o777 == 0o700
        with Connection(second, unix=True) as connection:
            connection.send(post("echo"))
            assert echoed(connection)["by"] == DIRECTLY
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(30) == 0


if __name__ == "__main__":
    chosen, socket_path = int(sys.argv[1]), Path(sys.argv[2])
    serve(load, Settings.from_env({"TANDEM_LOGS": "json"}), chosen, socket_path=socket_path)
