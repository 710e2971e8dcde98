"""One HTTP connection of the load generator. It never blocks, and it measures when an answer arrived.

A request is one system call, and an answer is usually one, too. A general HTTP client takes several times as long
(ADR 29). Answers must state their length, as all answers of the gateway do.
"""

import contextlib
import re
import socket
import struct
import time
from typing import Any, NamedTuple

SO_TIMESTAMPNS = 35  # of Linux; Python's module socket does not name it
TIMESTAMP = struct.Struct("@ll")  # seconds and nanoseconds of the system's clock
TIMESTAMP_SPACE = socket.CMSG_SPACE(TIMESTAMP.size)
RECEIVED_BYTES = 16_384  # read by one system call
END_OF_HEADERS = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(r"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n")
SERVER_TIMING = re.compile(r"\r\nserver-timing:[ \t]*(.*)\r\n")
CLOSE = re.compile(r"\r\nconnection:[ \t]*close[ \t]*\r\n")


class GatewayAnswer(NamedTuple):
    """A complete HTTP response.

    Attributes:
        status: HTTP status.
        server_timing: value of the Server-Timing header, or an empty string.
        keeps_open: whether the connection can send another request.
    """

    status: int
    server_timing: str
    keeps_open: bool


class Address(NamedTuple):
    """Where a connection leads: the address family of its socket, and what `socket.connect` takes."""

    family: int
    target: Any


class Connection:
    """A TCP connection that carries one request at a time.

    Attributes:
        descriptor: the file descriptor of the socket.
        is_connected: whether the connection was made. Until then nothing is sent.
        handling_s: how long before `receive` returned the answer its last byte had arrived.
    """

    def __init__(self, address: Address) -> None:
        """Begin to connect.

        Raises:
            OSError: the connection was refused.
        """
        self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        self._received = b""
        self._unsent = b""
        self.descriptor = self._socket.fileno()
        self.is_connected = False
        self.handling_s = 0.0
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):  # without timestamps, `handling_s` counts from the thread's wake-up
                self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            with contextlib.suppress(BlockingIOError):
                self._socket.connect(address.target)
                self.is_connected = True
        except OSError:
            self._socket.close()
            raise

    @property
    def has_unsent(self) -> bool:
        """Whether a part of the request is not yet sent."""
        return bool(self._unsent)

    def send(self, head: bytes, body: bytes) -> None:
        """Begin a request: send as much of it as the kernel takes.

        Raises:
            OSError: the connection was closed.
        """
        self._received = b""
        sent = 0
        if self.is_connected:
            with contextlib.suppress(BlockingIOError):
                sent = self._socket.sendmsg((head, body))
        if sent < len(head) + len(body):
            self._unsent = (head + body)[sent:]

    def continue_sending(self) -> None:
        """Send more of the request, after the kernel reported that the socket takes bytes again.

        Raises:
            OSError: the connection was refused or closed.
        """
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, "the connection was refused or closed")
        self.is_connected = True
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def receive(self, woken_s: float) -> GatewayAnswer | None:
        """Read what has arrived; return the answer when it is complete, and None before.

        Args:
            woken_s: when the thread learned that something had arrived; seconds of `time.perf_counter`.

        Raises:
            OSError: the connection was closed.
            ValueError: the bytes are not an answer.
        """
        try:
            data, control, _, _ = self._socket.recvmsg(RECEIVED_BYTES, TIMESTAMP_SPACE)
        except BlockingIOError:
            return None
        if not data:
            raise ConnectionError("the connection was closed")
        self._received = self._received + data if self._received else data
        answer = parse_answer(self._received)
        if answer is not None:
            self.handling_s = _seconds_since(control, woken_s)
        return answer

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _seconds_since(control: list[tuple[int, int, bytes]], woken_s: float) -> float:
    """Return how long ago the kernel received the last bytes, or else how long ago the thread was woken."""
    for _, kind, value in control:
        if kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = TIMESTAMP.unpack(value)
            elapsed_ns: int = time.time_ns() - seconds * 1_000_000_000 - nanoseconds
            return max(0, elapsed_ns) / 1e9
    return time.perf_counter() - woken_s


def parse_answer(received: bytes) -> GatewayAnswer | None:
    """Return an HTTP response, or None while it is incomplete.

    Raises:
        ValueError: the bytes are not an HTTP/1 response whose headers state its length.
    """
    end = received.find(END_OF_HEADERS)
    if end < 0:
        return None
    head = received[: end + 2].decode("latin-1").lower()
    length = CONTENT_LENGTH.search(head)
    if length is None or not head.startswith("http/1."):
        raise ValueError("the answer does not state its length")
    excess = len(received) - end - len(END_OF_HEADERS) - int(length[1])
    if excess < 0:
        return None
    timing = SERVER_TIMING.search(head)
    keeps_open = not excess and CLOSE.search(head) is None
    return GatewayAnswer(int(head[9:12]), timing[1] if timing else "", keeps_open)
