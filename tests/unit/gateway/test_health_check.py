"""The health check of a gateway's container asks the gateway on its own address, not another replica."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from services.gateway.health_check import PATH, is_local, main
from tests.unit.names import Names

NAME = "gateway.test"
ELSEWHERE = "192.0.2.1"  # reserved for documents: no machine has it


class Gateway(ThreadingHTTPServer):
    """Answers with a status, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Live)
        self.status, self.asked = 200, list[tuple[str, str]]()
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Live(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        yield server
        server.shutdown()


def test_of_the_addresses_of_a_name_the_one_of_this_machine_is_asked(names: Names, gateway: Gateway) -> None:
    names.addresses[NAME] = [ELSEWHERE, "127.0.0.1"]
    port = str(gateway.server_address[1])
    assert main(NAME, port) == 0
    assert gateway.asked == [(PATH, f"{NAME}:{port}")]
    gateway.status = 503
    assert main(NAME, port) == 1


def test_a_name_without_an_address_of_this_machine_is_not_healthy(names: Names, gateway: Gateway) -> None:
    names.addresses[NAME] = [ELSEWHERE]
    assert main(NAME, str(gateway.server_address[1])) == 1
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET, ELSEWHERE, False),
        (socket.AF_INET6, "2001:db8::1", False),
    ],
)
def test_an_address_is_local_if_a_socket_can_be_bound_to_it(family: int, address: str, expected: bool) -> None:
    assert is_local(family, address) is expected
