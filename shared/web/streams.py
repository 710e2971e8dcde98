"""Responses that are written piece by piece while they come into being, such as server-sent events.

Such a response occupies a connection and no thread. It ends with its pieces, with its connection, or when the server
is told to stop.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Protocol

import structlog
from aiohttp import hdrs, web

log = structlog.get_logger()


class StreamedResponse(web.StreamResponse):
    """A response whose body is written piece by piece.

    Args:
        pieces: of the body, in their order. A slow client gets the next piece when it has read most of what was sent.
        headers: of the response, without `Content-Length`.
        on_end: called once when the response has ended, however it ended.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str], on_end: Callable[[], None]
    ) -> None:
        super().__init__(headers=headers)
        self.pieces, self.on_end = pieces, on_end


class StreamingConnection(Protocol):
    """A connection that ends its stream when it is closed.

    Attributes:
        stream: writes the response that is being streamed.
    """

    stream: asyncio.Task[None] | None


class OpenStreams:
    """The streamed responses of a server that have not ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def send(self, request: web.BaseRequest, connection: StreamingConnection, response: StreamedResponse) -> None:
        """Write a response. Return when it has ended.

        Args:
            request: what is answered. A HEAD request gets the headers only.
            connection: of the request.
            response: its headers must be complete.

        Raises:
            ConnectionError: the connection was closed, or the next piece could not be made.
        """
        try:
            await response.prepare(request)
            if request.method == hdrs.METH_HEAD:
                return
            task = asyncio.get_running_loop().create_task(self._write(response))
            self._tasks.add(task)
            connection.stream = task
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
                connection.stream = None
                self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                raise error
        finally:
            response.on_end()

    def end_all(self) -> None:
        """End all streams, and each new one after its first piece, because the server stops.

        The clients see a complete response. Their connections are closed.
        """
        self._is_closed = True
        for task in self._tasks:
            task.cancel()

    async def _write(self, response: StreamedResponse) -> None:
        try:
            async with aclosing(response.pieces) as pieces:
                async for piece in pieces:
                    await response.write(piece)
                    if self._is_closed:
                        break
        except ConnectionError:
            raise
        except Exception as error:
            log.error("a stream ended early", exc_info=error)
            raise ConnectionError("the rest of the response cannot be made") from error
        finally:
            if self._is_closed:
                response.force_close()
