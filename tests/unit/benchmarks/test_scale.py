"""The measurement of growth counts no error as a fast answer."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from benchmarks.scale.timing import time_addresses

BODY = b"found"


class OneAddress(BaseHTTPRequestHandler):
    """Answers /known with 200, and everything else with 404."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/known" else 404)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneAddress) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_each_address_is_asked_in_each_round(url: str) -> None:
    (times,) = time_addresses(url, ["/known"], rounds=4, limit_s=60).values()
    assert (times.count, times.size) == (4, len(BODY))


def test_an_error_ends_the_measurement_and_is_named(url: str) -> None:
    with pytest.raises(SystemExit, match=r"^/missing answered 404: b'found'$"):
        time_addresses(url, ["/known", "/missing"], rounds=1, limit_s=60)
