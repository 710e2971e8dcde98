"""The sender and its connections against servers on loopback that answer as each test needs."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.loadtest.connection import Address, Connection, GatewayAnswer, parse_answer
from services.loadtest.sender import CONNECTION_FAILED, HTTP_OK, NOT_SENT, TIMED_OUT, QueryOutcome, Sender
from tests.polling import wait_until

ANSWER = b"HTTP/1.1 200 OK\r\nServer-Timing: total;dur=1.5\r\nContent-Length: 2\r\n\r\n{}"
CLOSING = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
Serve = Callable[[socket.socket, int], None]  # takes a connection and its number, counted from 1


@contextmanager
def listening(serve: Serve) -> Iterator[str]:
    """Yield a URL. Each connection to it is served by a call of `serve`, and closed afterwards."""

    def accept() -> None:
        number = 0
        while True:
            try:
                accepted, _ = server.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=serve_and_close, args=(accepted, number), daemon=True).start()

    def serve_and_close(accepted: socket.socket, number: int) -> None:
        with accepted:
            serve(accepted, number)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1/predictions?model=x"
        server.shutdown(socket.SHUT_RDWR)


def read_request(accepted: socket.socket) -> bytes:
    """Return the body of a request; empty if the connection was closed."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (data := accepted.recv(65536)):
            return b""
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = [line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    while len(body) < int(length):
        body += accepted.recv(65536)
    return body


class Driver:
    """Issues queries and waits for their outcomes."""

    def __init__(self, url: str, connections: int = 1, give_up_s: float = 60, timeout_s: float = 60) -> None:
        self.tokens: list[int] = []
        give_up_at_s = time.perf_counter() + give_up_s
        images = [b"image", b"x" * 8_000_000]
        self.sender = Sender(url, {"X-A": "b"}, images, connections, give_up_at_s, self.tokens.append, timeout_s)

    def issue(self, count: int = 1, image_index: int = 0) -> None:
        for _ in range(count):
            self.sender.issue(100 + len(self.sender.issued_s), image_index, time.perf_counter())

    def outcomes(self) -> list[QueryOutcome]:
        """Return the outcomes of all issued queries, in order of issue, when each was reported once."""
        count = len(self.sender.issued_s)
        wait_until(lambda: len(self.tokens) == count, message="a query has no outcome")
        assert sorted(self.tokens) == [100 + number for number in range(count)]
        return sorted(self.sender.outcomes)

    def send(self, count: int = 1, image_index: int = 0) -> list[int]:
        """Return the status of each query so far."""
        self.issue(count, image_index)
        return [outcome.status for outcome in self.outcomes()]


def answer_all(accepted: socket.socket, number: int) -> None:
    while read_request(accepted):
        accepted.sendall(ANSWER)


def test_a_connection_is_kept_and_reused() -> None:
    numbers = []

    def serve(accepted: socket.socket, number: int) -> None:
        numbers.append(number)
        answer_all(accepted, number)

    with listening(serve) as url:
        driver = Driver(url, connections=8)
        for _ in range(5):
            driver.send()
        outcomes = driver.outcomes()
    assert numbers == [1]
    assert [outcome.status for outcome in outcomes] == [HTTP_OK] * 5
    assert {outcome.server_timing for outcome in outcomes} == {"total;dur=1.5"}
    assert all(0 < outcome.handling_s < outcome.done_s - outcome.sent_s for outcome in outcomes)


def test_queries_wait_for_a_connection_without_blocking_the_issuer_and_are_sent_in_order() -> None:
    may_answer, bodies = threading.Event(), []

    def serve(accepted: socket.socket, _: int) -> None:
        while body := read_request(accepted):
            may_answer.wait(60)
            bodies.append(len(body))
            accepted.sendall(ANSWER)

    with listening(serve) as url:
        driver = Driver(url)
        for image_index in (0, 1, 0):
            driver.issue(image_index=image_index)
        assert driver.tokens == []
        may_answer.set()
        assert [outcome.status for outcome in driver.outcomes()] == [HTTP_OK] * 3
    assert driver.sender.had_free_connection == [True, False, False]
    assert bodies == [5, 8_000_000, 5]


def test_an_answer_may_arrive_in_pieces() -> None:
    def serve(accepted: socket.socket, _: int) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_request(accepted):
            for place in range(len(ANSWER)):
                accepted.sendall(ANSWER[place : place + 1])

    with listening(serve) as url:
        assert Driver(url).send(3) == [HTTP_OK] * 3


@pytest.mark.parametrize("answer", [ANSWER, CLOSING], ids=["unannounced", "announced"])
def test_a_connection_that_the_server_closes_after_an_answer_is_replaced(answer: bytes) -> None:
    closed = threading.Semaphore(0)

    def serve(accepted: socket.socket, _: int) -> None:
        read_request(accepted)
        accepted.sendall(answer)
        accepted.shutdown(socket.SHUT_WR)
        assert accepted.recv(1) == b"", "the sender closed its side"
        closed.release()

    with listening(serve) as url:
        driver = Driver(url)
        for _ in range(3):
            driver.issue()
            driver.outcomes()
            assert closed.acquire(timeout=60)
        assert driver.send(0) == [HTTP_OK] * 3


@pytest.mark.parametrize("answer", [b"", ANSWER[:30], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_connection_that_gives_no_answer_fails_its_query_only(answer: bytes) -> None:
    def serve(accepted: socket.socket, number: int) -> None:
        if number == 1:
            read_request(accepted)
            accepted.sendall(answer)
        else:
            answer_all(accepted, number)

    with listening(serve) as url:
        assert Driver(url).send(3) == [CONNECTION_FAILED, HTTP_OK, HTTP_OK]


def test_other_statuses_are_recorded_and_the_connection_is_kept() -> None:
    def serve(accepted: socket.socket, number: int) -> None:
        for status in (b"503", b"422", b"200"):
            read_request(accepted)
            accepted.sendall(ANSWER.replace(b"200", status) if number == 1 else b"")
        read_request(accepted)

    with listening(serve) as url:
        assert Driver(url).send(3) == [503, 422, HTTP_OK]


def test_a_query_without_an_answer_times_out_and_the_next_one_gets_a_new_connection() -> None:
    def serve(accepted: socket.socket, number: int) -> None:
        if number > 1:
            answer_all(accepted, number)
        else:
            read_request(accepted)
            read_request(accepted)

    with listening(serve) as url:
        driver = Driver(url, timeout_s=0.5)
        assert driver.send(2) == [TIMED_OUT, HTTP_OK]
        first, _ = driver.outcomes()
    assert first.done_s - first.sent_s >= 0.5
    assert first.handling_s == 0


def test_a_query_that_waits_too_long_for_a_connection_is_not_sent() -> None:
    with listening(lambda accepted, _: time.sleep(0.5)) as url:
        assert Driver(url, give_up_s=0.25).send(3) == [CONNECTION_FAILED, NOT_SENT, NOT_SENT]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x?y", "http://nobody.invalid/x?y", "http://localhost:1/x?y"])
def test_a_gateway_that_cannot_be_reached_fails_every_query(url: str) -> None:
    assert Driver(url, connections=4).send(20) == [CONNECTION_FAILED] * 20


def receive_now(connection: Connection) -> GatewayAnswer | None:
    return connection.receive(woken_s=time.perf_counter())


def test_the_time_that_an_answer_lies_in_the_kernel_is_measured() -> None:
    with listening(answer_all) as url:
        port = int(url.split(":")[2].split("/")[0])
        connection = Connection(Address(socket.AF_INET, ("127.0.0.1", port)))
        select.select([], [connection.descriptor], [])
        connection.send(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"image")
        if connection.has_unsent:
            connection.continue_sending()
        select.select([connection.descriptor], [], [])
        time.sleep(0.1)
        assert receive_now(connection) == GatewayAnswer(200, "total;dur=1.5", keeps_open=True)
        assert connection.handling_s > 0.1
        connection.close()


def test_an_answer_is_parsed_when_it_is_complete() -> None:
    assert [parse_answer(ANSWER[:place]) for place in range(len(ANSWER))] == [None] * len(ANSWER)
    assert parse_answer(ANSWER) == GatewayAnswer(200, "total;dur=1.5", keeps_open=True)
    assert parse_answer(b"HTTP/1.1 503 x\r\ncontent-length:0\r\n\r\n") == GatewayAnswer(503, "", keeps_open=True)
    assert parse_answer(CLOSING) == GatewayAnswer(200, "total;dur=1.5", keeps_open=False)
    assert parse_answer(ANSWER + b"more") == GatewayAnswer(200, "total;dur=1.5", keeps_open=False)


@pytest.mark.parametrize(
    "received", [b"HTTP/1.1 200 OK\r\nX: Content-Length: 2\r\n\r\n", b"x 200\r\nContent-Length: 2\r\n\r\n{}"]
)
def test_bytes_that_are_no_answer_of_known_length_are_an_error(received: bytes) -> None:
    with pytest.raises(ValueError, match="length"):
        parse_answer(received)
