"""Kept client, over real sockets: reused, replaced when their server was restarted, and bounded in time."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from shared.serving.client import ConnectionFailedError, ConnectionLostError, PredictorClient
from tests.unit.names import Names

TIMEOUT_S = 10.0


class Service(ThreadingHTTPServer):
    """Answers a body with itself; counts its client; closes them when it stops."""

    daemon_threads = True
    request_queue_size = 64  # more than five may come at once

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Echo)
        self.sockets: list[Any] = []
        self.delay_s = 0.0
        self.received = 0  # requests
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> Any:
        self.sockets.append(super().get_request())
        return self.sockets[-1]

    def handle_error(self, *_: Any) -> None:
        """Who did not wait for an answer has closed the connection."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for socket, _ in self.sockets:
            self.shutdown_request(socket)


class Echo(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received += 1
        time.sleep(self.server.delay_s)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.stop()


async def echo(client: PredictorClient, body: bytes) -> bytes:
    return (await client.request("POST", "/", body, timeout_s=TIMEOUT_S)).body


def test_a_connection_is_kept(service: Service) -> None:
    async def ask() -> list[bytes]:
        with closing(PredictorClient(service.url)) as client:
            return [await echo(client, body) for body in (b"a", b"", b"c" * 1_000_000)]

    assert asyncio.run(ask()) == [b"a", b"", b"c" * 1_000_000]
    assert len(service.sockets) == 1


def test_requests_at_the_same_time_have_a_connection_and_a_reply_each(service: Service) -> None:
    async def ask() -> list[bytes]:
        with closing(PredictorClient(service.url)) as client:
            return await asyncio.gather(*(echo(client, bytes([number])) for number in range(8)))

    assert asyncio.run(ask()) == [bytes([number]) for number in range(8)]
    assert len(service.sockets) == 8


def test_after_a_restart_of_the_server_the_request_is_sent_again(service: Service) -> None:
    async def ask() -> None:
        with closing(PredictorClient(service.url)) as client:
            assert await echo(client, b"a") == b"a"
            service.stop()
            again = Service(service.server_address[1])
            try:
                assert await echo(client, b"b") == b"b"
            finally:
                again.stop()

    asyncio.run(ask())


def test_a_refused_connection_and_a_late_reply_are_different_errors_and_a_late_reply_is_dropped(
    service: Service,
) -> None:
    async def ask() -> None:
        with closing(PredictorClient(service.url)) as client:
            service.delay_s = 1.0
            with pytest.raises(TimeoutError):
                await client.request("POST", "/", b"late", timeout_s=0.05)
            service.delay_s = 0.0
            assert await echo(client, b"a") == b"a"
        with pytest.raises(ConnectionFailedError):
            await echo(PredictorClient("http://127.0.0.1:1"), b"a")

    asyncio.run(ask())


@pytest.mark.parametrize(
    "answer", [b"", b"no HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9"]
)
def test_a_reply_that_is_not_valid_is_a_failed_connection(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ConnectionFailedError):
                await echo(PredictorClient(f"http://127.0.0.1:{port}"), b"a")

    asyncio.run(ask())


def test_a_call_that_is_still_connecting_when_the_client_is_aborted_fails_at_once(
    service: Service, names: Names
) -> None:
    """Its name is looked up meanwhile. The server would never reply."""
    names.addresses["predictor.test"] = ["127.0.0.1"]
    names.is_answering.clear()
    service.delay_s = TIMEOUT_S

    async def ask() -> None:
        with closing(PredictorClient(service.url.replace("127.0.0.1", "predictor.test"))) as client:
            asked = asyncio.create_task(client.request("POST", "/", b"a", timeout_s=TIMEOUT_S / 2))
            while not names.is_asked.is_set():
                await asyncio.sleep(0.01)
            client.abort()
            names.is_answering.set()
            with pytest.raises(ConnectionFailedError, match="health check"):
                await asked

    asyncio.run(ask())


def test_a_connection_that_is_lost_with_a_request_is_told_from_one_that_is_refused(service: Service) -> None:
    """Also if it was a kept connection, and no new one can be made because the server has ended."""

    async def ask() -> None:
        with closing(PredictorClient(service.url)) as client:
            assert await echo(client, b"a") == b"a"
            service.delay_s = TIMEOUT_S
            asked = asyncio.create_task(echo(client, b"b"))
            while service.received < 2:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(service.stop)
            with pytest.raises(ConnectionLostError):
                await asked
            with pytest.raises(ConnectionFailedError) as refused:
                await echo(client, b"c")
            assert not isinstance(refused.value, ConnectionLostError)

    asyncio.run(ask())
