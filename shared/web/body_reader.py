"""Reads request bodies within three limits: the size of one body, the size of all bodies together, and time.

Bytes are counted as they arrive, so a chunked body has the same limits as one that announces its length, and a
client that announces much and sends nothing reserves nothing.
"""

import asyncio
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

SMALL_BYTES = 64 * 2**10  # a body up to this size is read whatever the others hold


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed. The response says which encoding is accepted (RFC 9110, section 12.5.3)."""

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        return [*super().get_headers(*arguments, **options), ("Accept-Encoding", "identity")]


class HeldBytes:
    """How many bytes of one body are counted as held."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class BodyReader:
    """Reads bodies, and counts those that are in memory.

    Args:
        max_bytes: of one body.
        max_total_bytes: of all bodies that are being read or worked on.
        timeout_s: from the headers to the body's last byte.
    """

    def __init__(self, max_bytes: int, max_total_bytes: int, timeout_s: float) -> None:
        self._max_bytes, self._max_total_bytes, self._timeout_s = max_bytes, max_total_bytes, timeout_s
        self._held_bytes = 0

    async def read(self, request: web.BaseRequest, held: HeldBytes) -> bytes:
        """Read a body. Its bytes count as held until `release` is called, also if this raises.

        Args:
            held: where the bytes of this body are counted.

        Raises:
            UnsupportedEncoding: the body is compressed; a few kB could unpack to any size.
            RequestEntityTooLarge: the body has more than `max_bytes`.
            RequestTimeout: the body took longer than `timeout_s`.
            UnavailableError: too many bytes are held already.
            BadRequest: the chunks are malformed, or the connection closed before the end.
            ExpectationFailed: the client expects something else than a go-ahead.
        """
        encoding = request.headers.get("Content-Encoding")
        if encoding and encoding.strip().lower() != "identity":
            raise UnsupportedEncoding(f"Content-Encoding {encoding[:80]!r} is not supported: send the body as it is")
        if request.content.is_eof():  # the body came with the headers, or there is none
            body = request.content.read_nowait()
            self._count(held, len(body))
            return body
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise ExpectationFailed("the only Expect header that is supported is 100-continue")
        if (request.content_length or 0) > self._max_bytes:
            raise self._too_large()
        return await self._receive(request, held)

    def release(self, held: HeldBytes) -> None:
        """Stop counting the bytes of a body."""
        self._held_bytes -= held.count

    async def _receive(self, request: web.BaseRequest, held: HeldBytes) -> bytes:
        """Read and count the chunks of a body."""
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                if "Expect" in request.headers:
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                async for chunk in request.content.iter_any():
                    self._count(held, len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            raise RequestTimeout(f"the body did not arrive within {self._timeout_s:g} s") from None
        except (HttpProcessingError, ConnectionError) as error:
            raise BadRequest(f"the body is incomplete or malformed: {type(error).__name__}") from None
        return b"".join(chunks)

    def _count(self, held: HeldBytes, size: int) -> None:
        """Count bytes that arrived, and refuse the body if a limit is passed."""
        held.count += size
        self._held_bytes += size
        if held.count > self._max_bytes:
            raise self._too_large()
        if held.count > SMALL_BYTES and self._held_bytes > self._max_total_bytes:
            raise UnavailableError("the server holds too many large bodies: try again in a moment")

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"the body may have at most {self._max_bytes:,} bytes")
