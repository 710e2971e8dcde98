"""Kept HTTP connections to one predictor, on the event loop.

A request goes out in one piece, and of the answer is read what a predictor
sends: a status, headers and a length. A library's client costs as much again
as the call that it carries (ADR 10).
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shared.logs import REQUEST_ID, request_id

CONNECT_TIMEOUT_S = 1.0
END = b"\r\n\r\n"  # of the headers


class ConnectionFailedError(Exception):
    """Nobody answers at the predictor's address, or no longer, or not in HTTP."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]  # their names in small letters
    body: bytes


class PredictorClient:
    """Connections to one address, kept as long as both sides keep them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._root, self._host = parts.path.rstrip("/"), parts.netloc
        self._idle: list[_Connection] = []

    async def request(self, method: str, path: str, body: bytes = b"", *, timeout_s: float) -> Reply:
        """One request, that changes nothing: where a kept connection turns out to be dead, it is asked again.

        Raises:
            TimeoutError: no answer, or not all of it, within `timeout_s`.
            AwayError: the connection is refused or breaks.
        """
        head = f"{method} {self._root}{path} HTTP/1.1\r\nHost: {self._host}\r\n{REQUEST_ID}: {request_id()}\r\n"
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
        async with asyncio.timeout(timeout_s):
            if self._idle:
                try:  # the one used last, so that in quiet times its server closes the others
                    return await self._exchange(self._idle.pop(), message)
                except ConnectionFailedError:
                    self.close()  # the server was restarted: they are as dead
            return await self._exchange(await self._connect(), message)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        while self._idle:
            self._idle.pop().transport.close()

    async def _connect(self) -> "_Connection":
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
                return connection
        except OSError as error:  # TimeoutError is one, too
            raise ConnectionFailedError(str(error)) from error

    async def _exchange(self, connection: "_Connection", message: bytes) -> Reply:
        try:
            reply = await connection.exchange(message)
        except BaseException:  # whoever waits no longer must leave no answer behind for the next one
            connection.transport.close()
            raise
        if reply.headers.get("connection") == "close":
            connection.transport.close()
        else:
            self._idle.append(connection)
        return reply


class _Connection(asyncio.Protocol):
    """One request at a time, and its reply."""

    transport: asyncio.Transport
    _reply: asyncio.Future[Reply] | None = None

    def exchange(self, message: bytes) -> asyncio.Future[Reply]:
        self._received = b""
        self._reply = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self.connection_lost(None)
        else:
            self.transport.write(message)
        return self._reply

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():
            self.transport.close()  # nobody asked
            return
        self._received += data
        try:
            if reply := _reply_in(self._received):
                self._reply.set_result(reply)
        except (ValueError, LookupError) as error:
            self.connection_lost(error)

    def connection_lost(self, error: Exception | None) -> None:
        if self._reply and not self._reply.done():
            self._reply.set_exception(ConnectionFailedError(str(error)))


def _reply_in(received: bytes) -> Reply | None:
    """A whole reply, or None; ValueError or LookupError: that is none, and will not be."""
    head, end, body = received.partition(END)
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in named}
    if len(body) < int(headers["content-length"]):
        return None
    return Reply(int(first.split(" ", 2)[1]), headers, body)


def ask_predictor(url: str, path: str, body: bytes, timeout_s: float) -> Reply:
    """Send one POST request to a predictor, and wait for its reply. For threads without an event loop.

    Args:
        url: the predictor's address.
        path: the path of the request.
        body: the body of the request.
        timeout_s: seconds until the whole reply must have arrived.

    Raises:
        ConnectionFailedError: the connection was refused or closed, or the response is not valid HTTP.
        TimeoutError: the reply did not arrive in time.
    """

    async def ask() -> Reply:
        client = PredictorClient(url)
        try:
            return await client.request("POST", path, body, timeout_s=timeout_s)
        finally:
            client.close()

    return asyncio.run(ask())
