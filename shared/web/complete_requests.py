"""Answers a request that has arrived completely, with its body, without aiohttp's objects for requests and responses.

A prediction of one picture is such a request. aiohttp parses it, as it parses every request. Then aiohttp would wake
the connection's task, make a request with a stream, and write the response through further objects. That takes as long
as everything else of a prediction together. Here, the handler gets the parsed request, and its response is written at
once.

Everything else is left to aiohttp: bodies that arrive in parts, compressed bodies, `Expect`, upgrades, HTTP/1.0,
pipelined requests, invalid requests, and the routes of Flask (ADR 27).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy

from shared.web.connections import LimitedConnection
from shared.web.route_table import Destination
from shared.web.security_headers import DefaultHeaders

MAX_BODY_BYTES = 32 * 2**10  # larger bodies are counted while they are in memory, see `body_reader.py`
LAST = "Connection: close\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


@dataclass(slots=True)
class CompleteRequest:
    """A request that has arrived completely.

    Attributes:
        remote: the address of the client; None for a Unix socket.
    """

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    remote: str | None
    body: bytes

    @property
    def can_read_body(self) -> bool:
        """Return whether the request has a body."""
        return bool(self.body)


FindDestination = Callable[[str, str], Destination | None]
CompleteHandler = Callable[[CompleteRequest, Destination], Awaitable[web.Response]]


class CompleteRequestConnection(LimitedConnection):
    """A connection that has complete requests answered directly, and leaves the others to aiohttp.

    Args:
        manager: the server.
        find_destination: returns the route of a method and a target, or None if aiohttp has to answer.
        answer: answers a request. It raises nothing.
        default_headers: of each response.
        options: of aiohttp's `RequestHandler`.
    """

    def __init__(
        self,
        manager: Any,
        find_destination: FindDestination,
        answer: CompleteHandler,
        default_headers: DefaultHeaders,
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._find_destination, self._answer, self._default_headers = find_destination, answer, default_headers
        self._answering: asyncio.Task[None] | None = None
        self._kept_back = b""  # what the client sent before it had its response

    @property
    def is_idle(self) -> bool:
        """Return whether the connection waits for the first byte of a request."""
        return self._answering is None and super().is_idle

    def data_received(self, data: bytes) -> None:
        """Pass bytes to aiohttp's parser. Begin to answer the request that they complete."""
        if self._answering is not None:
            if data:
                self._kept_back += data
                self._pause_reading_for_buffer()
            return
        waiter = self._waiter  # what aiohttp's task waits for, between two requests
        is_between = not waiter.done() if waiter else not self._request_count  # the task may not have begun to wait yet
        if not is_between or self._messages:
            super().data_received(data)
            return
        self._waiter = None  # so that aiohttp does not wake its task yet
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and not (self._force_close or self._close) and self._begin_answer():
            return
        if waiter and not waiter.done():
            if self._force_close or self._close:
                waiter.cancel()
            elif self._messages:
                waiter.set_result(None)

    def _begin_answer(self) -> bool:
        """Begin to answer the request that has arrived. Return False if aiohttp has to."""
        message, payload = self._messages[0]
        if (
            len(self._messages) > 1
            or not isinstance(message, RawRequestMessage)
            or not payload.is_eof()
            or payload.exception() is not None
            or payload.total_bytes > MAX_BODY_BYTES
            or message.version != HttpVersion11
            or message.should_close
            or hdrs.CONTENT_ENCODING in message.headers
            or hdrs.EXPECT in message.headers
            or hdrs.UPGRADE in message.headers
            or self.transport is None
            or self.transport.get_write_buffer_size() > 0  # aiohttp waits until the client has read its responses
        ):
            return False
        destination = self._find_destination(message.method, message.path)
        if destination is None or self._parser is None:
            return False
        self._messages.popleft()
        self._parser.message_consumed()
        peer = self.peername
        remote = str(peer[0]) if isinstance(peer, tuple) else None
        request = CompleteRequest(message.method, destination.path, message.headers, remote, payload.read_nowait())
        self._request_in_progress = True
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._answering = self._loop.create_task(self._respond(request, destination))
        return True

    async def _respond(self, request: CompleteRequest, destination: Destination) -> None:
        try:
            self._write(await self._answer(request, destination))
        except Exception as error:
            self.log_exception("a response could not be written", exc_info=error)
            self.force_close()
        finally:
            self._answering, self._request_in_progress = None, False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)  # the server is told to stop, and waits for this response
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._kept_back:
            data, self._kept_back = self._kept_back, b""
            self._resume_reading_for_buffer()
            self.data_received(data)

    def _write(self, response: web.Response) -> None:
        """Write a response at once, and close the connection behind it if the response says so."""
        transport, body = self.transport, response.body or b""
        if transport is None or transport.is_closing():
            return
        if not isinstance(body, bytes):
            raise TypeError("the body of a response of the event loop must be bytes")
        fields = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
        own = "".join(fields)
        if not own.count("\r") == own.count("\n") == len(fields):
            raise ValueError("a header contains the end of a line")
        is_last = response.keep_alive is False
        head = (
            f"{STATUS_LINES[response.status]}{own}{self._default_headers.lines_for(response.headers)}"
            f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n"
            f"{LAST if is_last else ''}\r\n"
        )
        transport.write(head.encode() + body)
        if is_last:
            self.force_close()
