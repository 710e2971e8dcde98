"""Reads request bodies within limits: the size of one body, of all bodies of a client, of all bodies, and a rate.

Bytes are counted as they arrive, so a chunked body has the same limits as one that announces its length, and a client
that announces much and sends nothing reserves nothing. A body may take as long as its bytes keep arriving. A compressed
body is unpacked within the same limits.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from werkzeug.exceptions import BadRequest, ExpectationFailed, RequestTimeout

from shared.errors import UnavailableError
from shared.web.content_encoding import Unpacker, parse_encodings, too_large
from shared.web.gate import Caller
from shared.web.routes import run_in_thread
from shared.web.shared_figures import SharedUse

LOOP_JOIN_BYTES = 2 * 2**20  # joining more takes milliseconds
SMALL_BYTES = 64 * 2**10  # a body up to this size is read whatever the others hold


@dataclass(frozen=True)
class BodyLimits:
    """What request bodies may have.

    Attributes:
        max_bytes: of one body, as it was sent and unpacked.
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


@contextmanager
def explain_broken_body(limits: BodyLimits) -> Iterator[None]:
    """Turn what goes wrong while a body arrives into what the client is told.

    Raises:
        RequestTimeout: the body arrived too slowly.
        BadRequest: it is malformed, or the connection closed before its end.
    """
    try:
        yield
    except TimeoutError:
        raise RequestTimeout(
            f"the body came too slowly: at least {limits.window_bytes:,} bytes in {limits.window_s:g} s"
        ) from None
    except (HttpProcessingError, ConnectionError) as error:
        raise BadRequest(f"the body is incomplete or malformed: {type(error).__name__}") from None


@dataclass(slots=True)
class HeldBytes:
    """How many bytes of one body are counted as held, and for which client.

    Attributes:
        published: how many of them the other processes know of.
    """

    count: int = 0
    caller: str = ""
    published: int = 0


@dataclass
class BodyReader:
    """Reads bodies, and counts those that are in memory.

    Attributes:
        limits: of bodies.
        shared: bytes of large bodies of all processes, if there are several. The limits then hold for all together.
    """

    limits: BodyLimits = field(default_factory=BodyLimits)
    shared: SharedUse | None = None
    _total_bytes: int = 0
    _bytes_by_caller: Counter[str] = field(default_factory=Counter)

    async def read(self, request: web.BaseRequest, caller: Caller, held: HeldBytes) -> bytes:
        """Read a body, and unpack it if it is compressed. Its bytes count as held until `release`, also if this raises.

        Args:
            request: its headers have arrived.
            caller: who sends it.
            held: where the bytes of this body are counted.

        Raises:
            UnsupportedEncoding: the body is compressed in an unknown way.
            RequestEntityTooLarge: the body has more than `max_bytes`, or unpacks to more.
            RequestTimeout: the body arrived too slowly.
            UnavailableError: too many bytes are held already.
            BadRequest: the chunks or the compressed data are malformed, or the connection closed before the end.
            ExpectationFailed: the client expects something else than a go-ahead.
        """
        held.caller = caller.key
        encodings: tuple[str, ...] = ()
        if hdrs.CONTENT_ENCODING in request.headers:
            encodings = parse_encodings(request.headers.getall(hdrs.CONTENT_ENCODING))
        if request.content.is_eof():  # the body came with the headers, or there is none
            body = request.content.read_nowait()
            self._count(held, len(body))
            if len(body) > self.limits.max_bytes:
                raise too_large(self.limits.max_bytes)
            if not encodings:
                return body
            chunks = deque([body])
        else:
            if request.headers.get("Expect", "100-continue").lower() != "100-continue":
                raise ExpectationFailed("the only Expect header that is supported is 100-continue")
            if (request.content_length or 0) > self.limits.max_bytes:
                raise too_large(self.limits.max_bytes)
            chunks = await self._receive(request, held)
            if not encodings:
                return await _join(chunks)
        return await self._unpack(chunks, encodings, held)

    def release(self, held: HeldBytes) -> None:
        """Stop counting the bytes of a body."""
        if self.shared is not None and held.published:
            self._publish(self.shared, held, 0)
        if held.count:
            self._total_bytes -= held.count
            self._bytes_by_caller[held.caller] -= held.count
            if not self._bytes_by_caller[held.caller]:
                del self._bytes_by_caller[held.caller]

    async def _receive(self, request: web.BaseRequest, held: HeldBytes) -> deque[bytes]:
        """Read and count the chunks of a body."""
        chunks: deque[bytes] = deque()
        limits, now = self.limits, asyncio.get_running_loop().time
        with explain_broken_body(limits):
            async with asyncio.timeout(limits.window_s) as timeout:
                if "Expect" in request.headers:
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                counted = 0  # of the bytes before this window
                async for chunk in request.content.iter_any():
                    self._count(held, len(chunk))
                    if held.count > limits.max_bytes:
                        raise too_large(limits.max_bytes)
                    chunks.append(chunk)
                    if held.count - counted >= limits.window_bytes:
                        timeout.reschedule(now() + limits.window_s)
                        counted = held.count
        return chunks

    async def _unpack(self, chunks: deque[bytes], encodings: tuple[str, ...], held: HeldBytes) -> bytes:
        """Unpack a body in a thread. Count each piece before the next one, and no longer what has been unpacked.

        An empty body stays empty: some clients send the header with each request.
        """
        if not any(chunks):
            return b""
        unpacker = Unpacker(chunks, encodings, self.limits.max_bytes)
        packed_bytes, pieces = held.count, []
        while not unpacker.is_finished:
            piece = await run_in_thread(None, unpacker.read)
            still_packed = packed_bytes - unpacker.taken_bytes
            pieces.append(piece)
            self._count(held, still_packed + sum(map(len, pieces)) - held.count)
        return await _join(pieces)

    def _count(self, held: HeldBytes, size: int) -> None:
        """Count bytes that arrived, and refuse the body if a limit is passed.

        Args:
            held: where the bytes of this body are counted.
            size: how many there are more; negative if fewer are held.
        """
        if not size:
            return
        held.count += size
        self._total_bytes += size
        self._bytes_by_caller[held.caller] += size
        if self.shared is not None and max(held.count, held.published) > SMALL_BYTES:
            self._publish(self.shared, held, held.count)
        if held.count > SMALL_BYTES:
            caller_bytes, total_bytes = self._bytes_by_caller[held.caller], self._total_bytes
            if self.shared is not None:
                elsewhere = self.shared.read_elsewhere(held.caller)
                caller_bytes, total_bytes = caller_bytes + elsewhere[0], total_bytes + elsewhere[1]
            if caller_bytes > self.limits.max_caller_bytes:
                raise UnavailableError("too many of your large bodies are on their way: send one after the other")
            if total_bytes > self.limits.max_total_bytes:
                raise UnavailableError("the server holds too many large bodies: try again in a moment")

    def _publish(self, shared: SharedUse, held: HeldBytes, count: int) -> None:
        """Publish how many bytes of a body this process holds. Only large bodies cause it: it takes microseconds."""
        shared.add(held.caller, count - held.published)
        held.published = count


async def _join(pieces: Collection[bytes]) -> bytes:
    """Join bytes; many of them in a thread, which lets other threads run meanwhile."""
    if sum(map(len, pieces)) <= LOOP_JOIN_BYTES:
        return b"".join(pieces)
    return await run_in_thread(None, b"".join, pieces)
