"""The only client of a predictor: kept HTTP connections on the event loop.

A request is written at once, and a reply is a status, headers and a body of known length. A general HTTP library
costs as much per call as everything else on the way to the predictor together (ADR 10).
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from shared.logs import REQUEST_ID, request_id
from shared.serving.health import ProcessUse

CONNECT_TIMEOUT_S = 1.0
MAX_LOST_CONNECTIONS = 2  # of one request, on which it was written: it may be what ends the predictors
ABORTED = "the predictor does not answer its health check"
END_OF_HEADERS = b"\r\n\r\n"


class PredictorError(Exception):
    """A predictor gave no usable reply. The message is for the client of the gateway."""


class ConnectionFailedError(PredictorError):
    """The connection was refused or closed, or the response is not valid HTTP."""


class ConnectionLostError(ConnectionFailedError):
    """The connection failed after the request was written. The request itself may have ended the predictor."""


class PredictorRefusedError(PredictorError):
    """The predictor replied with another status than 200.

    Attributes:
        status: the status.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A predictor's HTTP response.

    Attributes:
        headers: by their names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Computation:
    """What a predictor computed.

    Attributes:
        probabilities: float32 [N, classes].
        compute_ms: how long the predictor computed, without the way there and back.
    """

    probabilities: NDArray[np.float32]
    compute_ms: float


class PredictorClient:
    """Connections to one predictor. They are kept as long as both sides keep them.

    Args:
        url: of the predictor, such as `http://127.0.0.1:8101`.
        socket_path: the predictor's Unix socket. If nothing answers there, the predictor is asked at its URL.
        ip: the address to connect to, if the name of the URL's host has several. By default, the name is looked up for
            each connection.
    """

    def __init__(self, url: str, socket_path: Path | None = None, ip: str | None = None) -> None:
        parts = urlsplit(url)
        self._address = (ip or parts.hostname or "", parts.port or 80)
        self._root, self._host = parts.path.rstrip("/"), parts.netloc
        self._socket_path = socket_path
        self._idle: list[_Connection] = []
        self._open_connections: WeakSet[_Connection] = WeakSet()
        self._is_aborted = False

    async def predict(self, name: str, version: int, images: NDArray[np.uint8], timeout_s: float) -> Computation:
        """Have a model predict images, uint8 [N, H, W, C].

        Raises:
            TimeoutError: the reply did not arrive within `timeout_s`.
            PredictorError: there is no usable reply.
        """
        reply = await self.request("POST", f"/predict/{name}/{version}", images.tobytes(), timeout_s=timeout_s)
        if reply.status != 200:
            raise PredictorRefusedError(_reason_of(reply), reply.status)
        try:
            probabilities = np.frombuffer(reply.body, "<f4").reshape(len(images), -1)
            return Computation(probabilities, float(reply.headers["server-timing"].removeprefix("compute;dur=")))
        except (ValueError, LookupError) as error:
            raise PredictorError(f"the predictor's reply cannot be read: {error}") from None

    async def ask_health(self, timeout_s: float) -> ProcessUse:
        """Return what the predictor reports of its process.

        Raises:
            TimeoutError: the reply did not arrive within `timeout_s`.
            PredictorError: there is no usable reply.
        """
        reply = await self.request("GET", "/health", timeout_s=timeout_s)
        if reply.status != 200:
            raise PredictorRefusedError(f"status {reply.status}: {_reason_of(reply)}", reply.status)
        try:
            return ProcessUse.model_validate_json(reply.body)
        except ValidationError as error:
            raise PredictorError(f"the predictor's report of its health cannot be read: {error}") from None

    async def request(self, method: str, path: str, body: bytes = b"", *, timeout_s: float) -> Reply:
        """Send one request. It must change nothing: if a kept connection turns out to be closed, it is sent again.

        Raises:
            TimeoutError: the reply did not arrive completely within `timeout_s`.
            ConnectionFailedError: the connection was refused or closed, or the reply is not valid HTTP. It is a
                ConnectionLostError if the request had been written before.
        """
        head = f"{method} {self._root}{path} HTTP/1.1\r\nHost: {self._host}\r\n{REQUEST_ID}: {request_id()}\r\n"
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
        started_s, was_written = monotonic(), False
        if self._idle:
            try:  # the connection used last, so that in quiet times the predictor closes the others
                return await self._exchange(self._idle.pop(), message, timeout_s)
            except ConnectionFailedError as error:
                self.close()  # the predictor was restarted, so all kept connections are closed
                was_written = isinstance(error, ConnectionLostError)
        try:
            connection = await self._connect(timeout_s - (monotonic() - started_s))
        except ConnectionFailedError as error:
            raise (ConnectionLostError(str(error)) if was_written else error) from None
        return await self._exchange(connection, message, timeout_s - (monotonic() - started_s))

    def close(self) -> None:
        """Close the connections that no request uses."""
        while self._idle:
            self._idle.pop().transport.close()

    def abort(self) -> None:
        """Close all connections. Requests on their way fail with a ConnectionFailedError, and so do later ones.

        This is for a predictor that hangs: its requests would otherwise wait for their time limit.
        """
        self._is_aborted = True
        self.close()
        for connection in self._open_connections:
            connection.transport.abort()

    async def _connect(self, timeout_s: float) -> "_Connection":
        """Open a connection.

        Raises:
            TimeoutError: no time was left.
            ConnectionFailedError: the connection was refused, or not made in time, or the client is aborted.
        """
        if timeout_s <= 0:
            raise TimeoutError
        if self._is_aborted:
            raise ConnectionFailedError(ABORTED)
        try:
            async with asyncio.timeout(min(timeout_s, CONNECT_TIMEOUT_S)):
                connection = await self._open_to_predictor()
        except OSError as error:
            if isinstance(error, TimeoutError) and timeout_s <= CONNECT_TIMEOUT_S:
                raise
            raise ConnectionFailedError(str(error)) from error
        self._open_connections.add(connection)
        if self._is_aborted:  # meanwhile
            connection.transport.abort()
            raise ConnectionFailedError(ABORTED)
        return connection

    async def _open_to_predictor(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        if self._socket_path:
            with suppress(OSError):  # the predictor runs on another machine, or does not run
                return (await loop.create_unix_connection(_Connection, str(self._socket_path)))[1]
        return (await loop.create_connection(_Connection, *self._address))[1]

    async def _exchange(self, connection: "_Connection", message: bytes, timeout_s: float) -> Reply:
        timer = asyncio.get_running_loop().call_later(timeout_s, connection.give_up)
        try:
            reply = await connection.exchange(message)
        except BaseException:  # a reply that arrives later must not be taken for the next request's
            connection.transport.close()
            raise
        finally:
            timer.cancel()
        if reply.headers.get("connection") == "close":
            connection.transport.close()
        else:
            self._idle.append(connection)
        return reply


class _Connection(asyncio.Protocol):
    """A connection with at most one request on its way."""

    transport: asyncio.Transport
    _reply: asyncio.Future[Reply] | None = None

    def exchange(self, message: bytes) -> asyncio.Future[Reply]:
        self._received = b""
        self._reply = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self._reply.set_exception(ConnectionFailedError("the connection is closed"))
        else:
            self.transport.write(message)
        return self._reply

    def give_up(self) -> None:
        """End the wait for a reply that did not arrive in time."""
        if self._reply and not self._reply.done():
            self._reply.set_exception(TimeoutError())

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():
            self.transport.close()  # bytes without a request
            return
        self._received += data
        try:
            if reply := _parse_reply(self._received):
                self._reply.set_result(reply)
        except (ValueError, LookupError) as error:
            self.connection_lost(error)

    def connection_lost(self, error: Exception | None) -> None:
        if self._reply and not self._reply.done():
            self._reply.set_exception(ConnectionLostError(str(error)))


def _parse_reply(received: bytes) -> Reply | None:
    """Return a reply, or None while it is incomplete.

    Raises:
        ValueError, LookupError: the bytes are not a reply of a predictor.
    """
    head, end, body = received.partition(END_OF_HEADERS)
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in named}
    if len(body) < int(headers["content-length"]):
        return None
    return Reply(int(first.split(" ", 2)[1]), headers, body)


def _reason_of(reply: Reply) -> str:
    """Return the detail of a predictor's problem document."""
    try:
        return str(json.loads(reply.body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the predictor answered {reply.status}"
