"""Streamed responses over real sockets: they end with their pieces, with their client, and with the server."""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator

import pytest
import requests
from aiohttp import web
from flask import Flask

from services.stack.stack import free_ports
from shared.errors import NotFoundError
from shared.logs import REQUEST_ID
from shared.settings import Settings
from shared.web.request_metrics import metrics_response
from shared.web.routes import BufferedRequest, Route
from shared.web.server import HttpServer, serve
from shared.web.streams import StreamedResponse
from tests.polling import wait_until

FIRST, LAST = b"first\n", b"last\n"
ROUTE = "/streams/<what>"


def load() -> HttpServer:
    """Return a server with streams that end, fail or never end. `/ended` counts those that have ended."""
    ended: list[str] = []
    app = Flask("test", static_folder=None)
    app.add_url_rule("/metrics", view_func=metrics_response)
    app.add_url_rule("/ended", view_func=lambda: ended)

    async def write(what: str) -> AsyncGenerator[bytes, None]:
        yield FIRST
        if what == "endless":
            await asyncio.Event().wait()
        if what == "broken":
            raise ValueError("it is wrong")
        yield LAST

    async def stream(request: BufferedRequest) -> web.StreamResponse:
        what = request.path_values["what"]
        if what == "absent":
            raise NotFoundError("there is no such stream")
        return StreamedResponse(write(what), {"Content-Type": "text/plain"}, lambda: ended.append(what))

    pattern = re.compile("/streams/(?P<what>[^/]+)")
    return HttpServer(app, [Route(ROUTE, pattern, stream, method="GET", is_stream=True)], 2)


@contextlib.contextmanager
def running_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the server in a process of its own; yield its URL and the process."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, "-m", "tests.unit.web.test_streams", str(port)]) as process:
        try:
            wait_until(lambda: requests.get(f"{url}/ended", timeout=30).ok, message="the server does not answer")
            yield url, process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as (address, _):
        yield address


def list_ended(url: str) -> list[str]:
    return requests.get(f"{url}/ended", timeout=30).json()


def test_a_stream_has_the_headers_of_every_response_and_all_its_pieces(url: str) -> None:
    with requests.Session() as session:
        for _ in range(2):  # the second one over the same connection
            answer = session.get(f"{url}/streams/short", headers={REQUEST_ID: "mine"}, timeout=30)
            assert (answer.status_code, answer.content) == (200, FIRST + LAST)
            assert (answer.headers[REQUEST_ID], answer.headers["Content-Type"]) == ("mine", "text/plain")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_comes_before_the_stream_is_answered_with_a_problem_document(url: str) -> None:
    absent = requests.get(f"{url}/streams/absent", timeout=30)
    assert (absent.status_code, absent.json()["detail"]) == (404, "there is no such stream")
    assert requests.post(f"{url}/streams/short", timeout=30).status_code == 405


def test_the_headers_alone_begin_no_stream(url: str) -> None:
    before = list_ended(url).count("endless")
    answer = requests.head(f"{url}/streams/endless", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "text/plain", b"")
    assert list_ended(url).count("endless") == before + 1


def test_a_stream_whose_pieces_fail_is_seen_as_incomplete(url: str) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(f"{url}/streams/broken", timeout=30)
    assert "broken" in list_ended(url)


def test_a_stream_ends_when_its_client_leaves(url: str) -> None:
    before = list_ended(url).count("endless")
    with requests.get(f"{url}/streams/endless", stream=True, timeout=30) as answer:
        assert next(answer.iter_lines()) == FIRST.strip()
    wait_until(lambda: list_ended(url).count("endless") == before + 1, message="the stream did not end")


def test_a_stream_is_recorded_when_its_headers_are_sent(url: str) -> None:
    with requests.get(f"{url}/streams/endless", stream=True, timeout=30):
        text = requests.get(f"{url}/metrics", timeout=30).text
        recorded = re.findall(rf'tandem_request_duration_seconds_count{{.*route="{ROUTE}",status="2xx"}} (\S+)', text)
        assert recorded
        assert float(recorded[0]) >= 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_stream_is_complete_when_the_server_stops(signum: signal.Signals) -> None:
    with (
        running_server() as (url, process),
        requests.get(f"{url}/streams/endless", stream=True, timeout=60) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == FIRST.strip()
        process.send_signal(signum)
        assert list(lines) == []  # an incomplete response would raise
        assert process.wait(60) == 0


if __name__ == "__main__":
    number = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", number))
    serve(load, Settings.from_env({}), number, [listener])
