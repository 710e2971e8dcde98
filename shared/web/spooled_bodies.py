"""Receives a large request body into a file, so that it is never held in memory.

The server asks the gate first, and refuses what it can before the body comes: the size in `Content-Length`, too many
uploads at the same time, and whatever the route itself checks. The file is locked while it is used. So a file without a
lock was left by a process that was killed, and may be removed.
"""

import asyncio
import fcntl
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from aiohttp import hdrs, web
from werkzeug.exceptions import ExpectationFailed, RequestEntityTooLarge

from shared.errors import UnavailableError, describe_storage_error
from shared.web.body_reader import BodyLimits, explain_broken_body
from shared.web.content_encoding import UnsupportedEncoding, parse_encodings
from shared.web.routes import run_in_thread

SPOOLED_BODY = "tandem.spooled_body"  # in the WSGI environ: the path of the file with the body
IS_CONNECTED = "tandem.is_connected"  # there, too: a function that says whether the client still waits for the answer
WRITE_BYTES = 2**20  # a thread writes about so many bytes at once


@dataclass
class BodySpooler:
    """Receives the bodies of one route into files.

    Attributes:
        method: of the requests.
        pattern: matches their whole path.
        scope: what a client must be allowed to do.
        folder: where the files lie. It is made when it is needed.
        setting: the environment variable that names the folder, for messages.
        max_bytes: of one body.
        check: gets the match of the path before the body is read, in a thread. It raises what the client is told.
        max_bodies: that are received or worked on at the same time.
        limits: how fast a body has to arrive.
    """

    method: str
    pattern: re.Pattern[str]
    scope: str
    folder: Path
    setting: str
    max_bytes: int
    check: Callable[[re.Match[str]], None]
    max_bodies: int = 4
    limits: BodyLimits = field(default_factory=BodyLimits)
    _open: int = 0

    def receives(self, request: web.BaseRequest) -> bool:
        """Return whether a request is one of those whose body goes to a file."""
        return request.method == self.method and self.pattern.fullmatch(request.path) is not None

    @asynccontextmanager
    async def receive(self, request: web.BaseRequest) -> AsyncIterator[Path]:
        """Receive a body. The file exists while the `async with` block runs.

        Raises:
            RequestEntityTooLarge: the body has more than `max_bytes`.
            UnavailableError: too many bodies are received, or the folder cannot be written.
            StorageFullError: the disk is full.
            RequestTimeout: the body arrived too slowly.
            BadRequest: it is malformed, or the connection closed before its end.
            UnsupportedEncoding: it is compressed by `Content-Encoding`.
        """
        self._check_head(request)
        self._open += 1
        path, file = None, None
        try:
            if match := self.pattern.fullmatch(request.path):
                await run_in_thread(None, self.check, match)
            path, file = await run_in_thread(None, self._create)
            await self._copy(request, file)
            yield path
        except OSError as error:
            raise describe_storage_error(error, self.setting) from error
        finally:
            self._open -= 1
            if path and file:
                await run_in_thread(None, _remove, path, file)

    def _check_head(self, request: web.BaseRequest) -> None:
        """Refuse what can be refused before the body is read."""
        if (request.content_length or 0) > self.max_bytes:
            raise self._too_large()
        if parse_encodings(request.headers.getall(hdrs.CONTENT_ENCODING, [])):
            raise UnsupportedEncoding("the body is compressed by Content-Encoding: send the file as it is")
        if request.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
            raise ExpectationFailed("the only Expect header that is supported is 100-continue")
        if self._open >= self.max_bodies:
            raise UnavailableError(f"{self._open} uploads are being worked on: try again when one has ended")

    def _create(self) -> tuple[Path, IO[bytes]]:
        """Return a new file, locked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self.folder / f"{uuid.uuid4().hex}.zip"
            file = open(path, "xb", buffering=0)  # noqa: SIM115 - `_remove` closes it
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():  # else another process took it for a file of a killed one, before the lock
                return path, file
            file.close()

    async def _copy(self, request: web.BaseRequest, file: IO[bytes]) -> None:
        """Write a body into a file as it arrives."""
        limits, now = self.limits, asyncio.get_running_loop().time
        chunks: list[bytes] = []
        waiting = received = counted = 0  # bytes in `chunks`, of the body, and of the body before this window
        with explain_broken_body(limits):
            async with asyncio.timeout(limits.window_s) as timeout:
                if hdrs.EXPECT in request.headers and not request.content.is_eof():
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                async for chunk in request.content.iter_any():
                    received += len(chunk)
                    if received > self.max_bytes:
                        raise self._too_large()
                    chunks.append(chunk)
                    waiting += len(chunk)
                    if waiting >= WRITE_BYTES:
                        await run_in_thread(None, _write, file, chunks)
                        chunks, waiting = [], 0
                    if received - counted >= limits.window_bytes:
                        timeout.reschedule(now() + limits.window_s)
                        counted = received
        await run_in_thread(None, _write, file, chunks)

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"the body may have at most {self.max_bytes:,} bytes: send a smaller file")


def _write(file: IO[bytes], chunks: list[bytes]) -> None:
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]


def _remove(path: Path, file: IO[bytes]) -> None:
    """Remove a file, and then give its lock up."""
    path.unlink(missing_ok=True)
    file.close()
