"""A predictor on loopback that answers when the test lets it."""

import asyncio
from collections.abc import Callable

import numpy as np

from shared.serving.health import ProcessUse

IMAGES = np.zeros((1, 2, 2, 1), np.uint8)


class HeldPredictor:
    """A predictor's server on loopback. It answers each request with two probabilities per image.

    Attributes:
        is_permitted: while it is not set, requests get no answer.
        holds_health: whether this is also so for health checks: the predictor hangs. Else it computes.
        calls: how many requests for predictions have arrived.
        connections: how many connections were accepted.
        open_connections: how many of them are open.
        status: of every answer to a request for predictions.
        health_status: of every answer to a health check.
        health_checks: how many health checks have arrived.
        on_call: called when a request for predictions has arrived.
    """

    def __init__(self) -> None:
        self.is_permitted = asyncio.Event()
        self.is_permitted.set()
        self.calls = self.connections = self.open_connections = 0
        self.status = self.health_status = 200
        self.holds_health = True
        self.health_checks = 0
        self.on_call: Callable[[], None] = lambda: None
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET /health "):
                    await self._answer_health(writer)
                    continue
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                images = len(await reader.readexactly(length)) // IMAGES[0].size
                self.calls += 1
                self.on_call()
                await self.is_permitted.wait()
                body = np.full((images, 2), 0.5, "<f4").tobytes()
                head = (
                    f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(body)}\r\nServer-Timing: compute;dur=1\r\n\r\n"
                )
                writer.write(head.encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            await asyncio.wait([asyncio.create_task(writer.wait_closed())])
            self.open_connections -= 1
        finally:
            self._writers.discard(writer)

    def abort_connections(self) -> None:
        """Close every connection, as the end of the process does."""
        for writer in self._writers:
            writer.transport.abort()

    async def close_connections(self) -> None:
        """Close every connection, and wait until nothing serves them."""
        self.abort_connections()
        self.is_permitted.set()  # so that nothing waits for ever
        while self._writers:
            await asyncio.sleep(0.01)

    async def _answer_health(self, writer: asyncio.StreamWriter) -> None:
        self.health_checks += 1
        if self.holds_health:
            await self.is_permitted.wait()
        body = ProcessUse(versions={}, threads=1, pid=1, machine="m", cpu_seconds=0, peak_memory_bytes=0)
        text = body.model_dump_json().encode()
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (self.health_status, len(text), text))
