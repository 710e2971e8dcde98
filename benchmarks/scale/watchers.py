"""Measures how long an event needs to reach everybody who watches a job."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from services.cli.client import Client

PER_ADDRESS = 200  # watchers; the gateway allows 256 streams of one client
WAIT_S = 300
WATCHED = {"network": "mlp", "dataset": "digits", "epochs": 1000, "publish": False, "name": "watched"}


@dataclass(frozen=True)
class Delays:
    """How long the last event of a job was under way.

    Attributes:
        watchers: how many connections watched the job.
        median_ms: from the request that changed the job to the event.
        last_ms: the same of the watcher who got it last.
    """

    watchers: int
    median_ms: float
    last_ms: float


def time_events(client: Client, watchers: int) -> Delays:
    """Let many connections watch a training that waits in the queue, cancel it, and return when the event arrived.

    The watchers use several loopback addresses, because the gateway limits the streams of one client.

    Raises:
        OSError: a connection could not be opened, or ended too early.
        TimeoutError: an event did not arrive within five minutes.
    """
    identity = client.post("/v1/trainings", WATCHED)["id"]
    return asyncio.run(_time_events(client, identity, watchers))


async def _time_events(client: Client, identity: str, watchers: int) -> Delays:
    address = urlsplit(client.url)
    request = f"GET /v1/trainings/{identity}/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    streams = []

    async def watch(number: int) -> asyncio.StreamReader:
        local = f"127.0.0.{2 + number // PER_ADDRESS}"
        reader, writer = await asyncio.open_connection(address.hostname, address.port, local_addr=(local, 0))
        streams.append(writer)
        writer.write(request)
        await reader.readuntil(b"event: state")
        return reader

    async def wait_for_end(reader: asyncio.StreamReader) -> float:
        await reader.readuntil(b'"status":"cancelled"')
        return time.perf_counter()

    try:
        async with asyncio.timeout(WAIT_S):
            readers = [await watch(number) for number in range(watchers)]
        ends = [asyncio.create_task(wait_for_end(reader)) for reader in readers]
        started = time.perf_counter()
        await asyncio.to_thread(client.post, f"/v1/trainings/{identity}/cancel", {})
        async with asyncio.timeout(WAIT_S):
            delays_ms = [1000 * (ended - started) for ended in await asyncio.gather(*ends)]
    finally:
        for writer in streams:
            writer.close()
    return Delays(watchers, float(np.median(delays_ms)), max(delays_ms))
