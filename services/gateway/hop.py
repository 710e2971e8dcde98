"""Kept HTTP connections to one predictor.

A request goes out in one piece, and Python's `http.client` reads the answer: a
library's pool costs as much again as the request it carries (ADR 10).
"""

import socket
from collections import deque
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from shared.telemetry import REQUEST_ID, request_id

CONNECT_TIMEOUT_S = 1.0


class AwayError(Exception):
    """Nobody answers at the predictor's address, or no longer."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes


class Connections:
    """Connections to one address, kept as long as both sides keep them; safe to share between threads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._root, self._host = parts.path.rstrip("/"), parts.netloc
        self._idle: deque[socket.socket] = deque()

    def request(self, method: str, path: str, body: bytes = b"", *, timeout_s: float) -> Reply:
        """One request, that changes nothing: where a kept connection turns out to be dead, it is asked again.

        Raises:
            TimeoutError: no answer, or no more of it, within `timeout_s`.
            AwayError: the connection is refused or breaks.
        """
        head = f"{method} {self._root}{path} HTTP/1.1\r\nHost: {self._host}\r\n{REQUEST_ID}: {request_id()}\r\n"
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
        try:
            kept = self._idle.pop()  # the one used last, so that in quiet times its server closes the others
        except IndexError:
            kept = None
        if kept:
            try:
                return self._exchange(kept, method, message, timeout_s)
            except AwayError:
                self.close()  # the server was restarted: they are as dead
        try:
            fresh = socket.create_connection(self._address, min(CONNECT_TIMEOUT_S, timeout_s))
            fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise AwayError(str(error)) from error
        return self._exchange(fresh, method, message, timeout_s)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        while self._idle:
            self._idle.pop().close()

    def _exchange(self, connection: socket.socket, method: str, message: bytes, timeout_s: float) -> Reply:
        try:
            connection.settimeout(timeout_s)
            connection.sendall(message)
            with HTTPResponse(connection, method=method) as response:
                response.begin()
                reply = Reply(response.status, response.headers, response.read())
        except TimeoutError:
            connection.close()
            raise
        except (OSError, HTTPException) as error:
            connection.close()
            raise AwayError(str(error)) from error
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return reply
