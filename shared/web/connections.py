"""Limits of connections: how many there are, and how long one may take for a request's headers or for reading.

aiohttp waits for ever for the headers of a request, and for a client that does not read its response. One timer looks
at all connections every second, so that a request needs no timer of its own.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from shared.logs import REQUEST_ID, begin_request, request_id
from shared.web.problems import PROBLEM_TYPE, ProblemDocument
from shared.web.security_headers import SECURITY_HEADERS

LOOK_S = 1  # between two looks at all connections
# How many bytes of a chunked body are passed to aiohttp at once. From then on, half of a body has to be content.
SLICE_BYTES = 4 * 2**10


@dataclass(frozen=True)
class ConnectionLimits:
    """What connections may have.

    Attributes:
        max_total: connections. When there are as many, an idle one is closed for a new one.
        max_per_address: connections from one address.
        headers_bytes: of a request's headers that have not arrived completely.
        headers_s: from a connection's opening to the first byte, and from a request's first byte to the end of its
            headers.
        idle_s: between two requests.
        stalled_s: in each window of so many seconds, a client has to read `stalled_bytes` of its response, or the rest.
        stalled_bytes: see `stalled_s`.
    """

    max_total: int = 1024
    max_per_address: int = 768
    headers_bytes: int = 64 * 2**10
    headers_s: float = 10
    idle_s: float = 75
    stalled_s: float = 60
    stalled_bytes: int = 96 * 2**10


class LimitedConnection(RequestHandler):
    """A connection whose client has to send and to read in time."""

    def __init__(self, manager: "LimitedServer", **options: Any) -> None:
        super().__init__(manager, **options)
        self._server = manager
        self._opened_at = 0.0
        self._headers_since: float | None = None  # when the first byte of incomplete headers came
        self._header_bytes = 0  # of incomplete headers
        self._body: StreamReader | None = None  # of the request whose body arrives
        self._is_chunked = False
        self._body_bytes = 0  # of the body, with the lengths of its chunks
        self._has_tiny_chunks = False
        self._unsent = (0, 0.0)  # how many bytes of responses were unread, and when

    @property
    def is_idle(self) -> bool:
        """Return whether the connection waits for the first byte of a request."""
        return self._is_waiting and self._headers_since is None

    @property
    def idle_until(self) -> float:
        """Return when the connection is closed if no request comes, by the loop's clock."""
        return self._next_keepalive_close_time

    @property
    def _is_waiting(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection, or refuse it if there are too many."""
        self._opened_at = self._loop.time()
        refusal = self._server.make_room(_address_of(transport))
        super().connection_made(transport)
        if refusal:
            self._refuse(503, "Unavailable", refusal)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to aiohttp, in slices if they can be chunks, and note since when headers are incomplete.

        aiohttp calls this without bytes when it goes on with those that it has kept.
        """
        if self._has_tiny_chunks:
            return
        was_in_body = self._body is not None
        start = 0
        while start == 0 or start < len(data):
            has_length = self._body is not None and not self._is_chunked
            part = data[start:] if has_length else data[start : start + SLICE_BYTES]
            start += max(len(part), 1)
            super().data_received(part)
            self._check_chunks(len(part))
            if self._has_tiny_chunks:
                return
        if self._messages or was_in_body:
            self._headers_since, self._header_bytes = None, 0
        elif data:
            self._headers_since = self._headers_since or self._loop.time()
            self._header_bytes += len(data)
            if self._header_bytes > self._server.limits.headers_bytes:
                detail = f"the headers have more than {self._server.limits.headers_bytes:,} bytes together"
                self._refuse(431, "Request Header Fields Too Large", detail)

    def _check_chunks(self, size: int) -> None:
        """End a chunked body whose chunks have hardly any bytes. Each chunk costs a microsecond, whatever its size.

        Args:
            size: bytes that were passed to aiohttp.
        """
        body = self._body
        if self._messages and self._messages[-1][1] is not body:
            message, body = self._messages[-1]
            self._is_chunked = isinstance(message, RawRequestMessage) and message.chunked
            self._body_bytes = size = 0
        self._body = body = None if body is None or body.is_eof() else body
        if body is None:
            return
        self._body_bytes += size
        if self._is_chunked and not self._reading_paused and self._body_bytes > SLICE_BYTES + 2 * body.total_bytes:
            self._has_tiny_chunks = True
            body.set_exception(BadHttpMessage("the chunks are too small"))

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """Log an error, unless a client's malformed body caused it. The client has been told."""
        if not isinstance(options.get("exc_info"), HttpProcessingError):
            super().log_exception(*arguments, **options)

    def close_if_late(self, transport: asyncio.Transport, now: float) -> None:
        """Close the connection if its client is too slow.

        Args:
            transport: of this connection. aiohttp forgets it when it begins to close the connection.
            now: the time, by the loop's clock.
        """
        limits = self._server.limits
        size, (size_before, since) = transport.get_write_buffer_size(), self._unsent
        if not size or size > size_before:  # the client has read everything, or there is another response
            self._unsent = size, now
        elif now - since > limits.stalled_s:
            if size_before - size < limits.stalled_bytes:
                _reset(transport)
                return
            self._unsent = size, now
        if not self._is_waiting:
            return
        if self._headers_since is not None and now - self._headers_since > limits.headers_s:
            self._refuse(408, "Request Timeout", f"the headers did not arrive within {limits.headers_s:g} s")
        elif self.is_idle and not self._request_count and now - self._opened_at > limits.headers_s:
            self.force_close()

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """Send a problem document without a request, and close the connection."""
        begin_request("")
        document = ProblemDocument.of(status, title, detail)
        fields = {
            **SECURITY_HEADERS,
            **document.headers,
            "Content-Type": PROBLEM_TYPE,
            "Content-Length": str(len(document.body)),
            "Connection": "close",
            REQUEST_ID: request_id(),
        }
        lines = (f"HTTP/1.1 {status} {title}", *(f"{name}: {value}" for name, value in fields.items()), "", "")
        if self.transport:
            self.transport.write("\r\n".join(lines).encode() + document.body)
        self.force_close()


class LimitedServer(web.Server):
    """aiohttp's server with limits of connections.

    Args:
        handler: answers a request.
        connection_type: makes a connection from this server and options.
        limits: of connections.
        options: of aiohttp's `RequestHandler`.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        connection_type: Callable[..., LimitedConnection],
        limits: ConnectionLimits,
        **options: Any,
    ) -> None:
        super().__init__(handler, keepalive_timeout=limits.idle_s, **options)
        self.limits = limits
        self._connection_type = connection_type
        self._addresses: dict[LimitedConnection, str] = {}
        self._counts: Counter[str] = Counter()
        self._loop.call_later(LOOK_S, self._close_late_connections)

    def __call__(self) -> RequestHandler:
        """Return the object for a new connection."""
        return self._connection_type(self, loop=self._loop, **self._kwargs)

    def make_room(self, address: str) -> str:
        """Close an idle connection if there are too many for another one.

        Args:
            address: of the client that connects.

        Returns:
            Why the new connection cannot be taken, or an empty text.
        """
        limits = self.limits
        is_full = len(self._addresses) >= limits.max_total
        if not is_full and self._counts[address] < limits.max_per_address:
            return ""
        idle = [found for found, owner in self._addresses.items() if found.is_idle and (is_full or owner == address)]
        if idle:
            oldest = min(idle, key=lambda connection: connection.idle_until)
            self._forget(oldest)
            oldest.force_close()
            return ""
        if is_full:
            return f"the server has {limits.max_total:,} connections, all of them in use: try again in a moment"
        return f"an address may have {limits.max_per_address:,} connections: use one for several requests"

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection. aiohttp calls this."""
        super().connection_made(handler, transport)
        address = _address_of(transport)
        self._addresses[cast(LimitedConnection, handler)] = address
        self._counts[address] += 1

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Stop counting a connection. aiohttp calls this."""
        super().connection_lost(handler, exc)
        self._forget(cast(LimitedConnection, handler))

    def _forget(self, connection: LimitedConnection) -> None:
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def _close_late_connections(self) -> None:
        now = self._loop.time()
        for connection, transport in list(self._connections.items()):
            cast(LimitedConnection, connection).close_if_late(transport, now)
        self._loop.call_later(LOOK_S, self._close_late_connections)


def _reset(transport: asyncio.Transport) -> None:
    """Close a connection at once. Otherwise the system would keep what is unsent until the client has read it."""
    if found := transport.get_extra_info("socket"):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _address_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of a client, or an empty text for a Unix socket."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
