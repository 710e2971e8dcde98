"""Reads request bodies within limits: the size of one body, of all bodies of a client, of all bodies, and a rate.

Bytes are counted as they arrive, so a chunked body has the same limits as one that announces its length, and a client
that announces much and sends nothing reserves nothing. A body may take as long as its bytes keep arriving.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from werkzeug.exceptions import (
    BadRequest,
    ExpectationFailed,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

from shared.errors import UnavailableError
from shared.web.gate import Caller
from shared.web.routes import run_in_thread

LOOP_JOIN_BYTES = 2 * 2**20  # joining more takes milliseconds
SMALL_BYTES = 64 * 2**10  # a body up to this size is read whatever the others hold


@dataclass(frozen=True)
class BodyLimits:
    """What request bodies may have.

    Attributes:
        max_bytes: of one body.
        max_caller_bytes: of all bodies of a client that are being read or worked on: one of the largest, and more.
        max_total_bytes: of all bodies of all clients. A form is copied up to four times while its files are opened.
        window_s: in each window of so many seconds, `window_bytes` have to arrive, or the rest of the body. The slowest
            connections of mobile telephones bring ten times as much.
        window_bytes: see `window_s`.
    """

    max_bytes: int = 64 * 2**20
    max_caller_bytes: int = 72 * 2**20
    max_total_bytes: int = 96 * 2**20
    window_s: float = 10
    window_bytes: int = 16 * 2**10


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed. The response says which encoding is accepted (RFC 9110, section 12.5.3)."""

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        return [*super().get_headers(*arguments, **options), ("Accept-Encoding", "identity")]


@dataclass(slots=True)
class HeldBytes:
    """How many bytes of one body are counted as held, and for which client."""

    count: int = 0
    caller: str = ""


@dataclass
class BodyReader:
    """Reads bodies, and counts those that are in memory.

    Attributes:
        limits: of bodies.
    """

    limits: BodyLimits = field(default_factory=BodyLimits)
    _total_bytes: int = 0
    _bytes_by_caller: Counter[str] = field(default_factory=Counter)

    async def read(self, request: web.BaseRequest, caller: Caller, held: HeldBytes) -> bytes:
        """Read a body. Its bytes count as held until `release` is called, also if this raises.

        Args:
            request: its headers have arrived.
            caller: who sends it.
            held: where the bytes of this body are counted.

        Raises:
            UnsupportedEncoding: the body is compressed; a few kB could unpack to any size.
            RequestEntityTooLarge: the body has more than `max_bytes`.
            RequestTimeout: the body arrived too slowly.
            UnavailableError: too many bytes are held already.
            BadRequest: the chunks are malformed, or the connection closed before the end.
            ExpectationFailed: the client expects something else than a go-ahead.
        """
        held.caller = caller.key
        encoding = request.headers.get("Content-Encoding")
        if encoding and encoding.strip().lower() != "identity":
            raise UnsupportedEncoding(f"Content-Encoding {encoding[:80]!r} is not supported: send the body as it is")
        if request.content.is_eof():  # the body came with the headers, or there is none
            body = request.content.read_nowait()
            self._count(held, len(body))
            return body
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise ExpectationFailed("the only Expect header that is supported is 100-continue")
        if (request.content_length or 0) > self.limits.max_bytes:
            raise self._too_large()
        return await self._receive(request, held)

    def release(self, held: HeldBytes) -> None:
        """Stop counting the bytes of a body."""
        if held.count:
            self._total_bytes -= held.count
            self._bytes_by_caller[held.caller] -= held.count
            if not self._bytes_by_caller[held.caller]:
                del self._bytes_by_caller[held.caller]

    async def _receive(self, request: web.BaseRequest, held: HeldBytes) -> bytes:
        """Read and count the chunks of a body."""
        chunks: list[bytes] = []
        limits, now = self.limits, asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(limits.window_s) as timeout:
                if "Expect" in request.headers:
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                counted = 0  # of the bytes before this window
                async for chunk in request.content.iter_any():
                    self._count(held, len(chunk))
                    chunks.append(chunk)
                    if held.count - counted >= limits.window_bytes:
                        timeout.reschedule(now() + limits.window_s)
                        counted = held.count
        except TimeoutError:
            raise RequestTimeout(
                f"the body came too slowly: at least {limits.window_bytes:,} bytes in {limits.window_s:g} s"
            ) from None
        except (HttpProcessingError, ConnectionError) as error:
            raise BadRequest(f"the body is incomplete or malformed: {type(error).__name__}") from None
        if held.count <= LOOP_JOIN_BYTES:
            return b"".join(chunks)
        return await run_in_thread(None, b"".join, chunks)  # which lets other threads run meanwhile

    def _count(self, held: HeldBytes, size: int) -> None:
        """Count bytes that arrived, and refuse the body if a limit is passed."""
        if not size:
            return
        held.count += size
        self._total_bytes += size
        self._bytes_by_caller[held.caller] += size
        if held.count > self.limits.max_bytes:
            raise self._too_large()
        if held.count > SMALL_BYTES:
            if self._bytes_by_caller[held.caller] > self.limits.max_caller_bytes:
                raise UnavailableError("too many of your large bodies are on their way: send one after the other")
            if self._total_bytes > self.limits.max_total_bytes:
                raise UnavailableError("the server holds too many large bodies: try again in a moment")

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"the body may have at most {self.limits.max_bytes:,} bytes")
