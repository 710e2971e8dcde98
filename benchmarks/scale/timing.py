"""Times requests: one connection, one request after the other, the addresses interleaved."""

import http.client
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

TIMEOUT_S = 120
LONG_MS = 1000.0  # an address that takes longer is asked fewer times


@dataclass(frozen=True)
class Times:
    """How long the answers of one address took.

    Attributes:
        median_ms: the median.
        p99_ms: the 99th percentile; of few requests, the slowest one.
        count: how many requests were measured.
        status: of the last response.
        size: bytes of the last response.
    """

    median_ms: float
    p99_ms: float
    count: int
    status: int
    size: int


class Caller:
    """One connection to a gateway.

    Args:
        url: the gateway's URL.
    """

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)

    def call(
        self, address: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[float, int, bytes]:
        """Send a request and return its time in milliseconds, its status and its body.

        Raises:
            OSError: the gateway does not answer.
        """
        started = time.perf_counter()
        self._connection.request(method, address, body, dict(headers or {}))
        response = self._connection.getresponse()
        content = response.read()
        return 1000 * (time.perf_counter() - started), response.status, content


def time_addresses(url: str, addresses: Iterable[str], rounds: int, limit_s: float) -> dict[str, Times]:
    """Ask each address several times, and return how long it took. The first answer of each does not count.

    Args:
        url: the gateway's URL.
        addresses: paths with their queries.
        rounds: how often each is asked. One that took longer than a second at first is asked three times.
        limit_s: no new round begins after so many seconds.
    """
    caller, ends = Caller(url), time.monotonic() + limit_s
    found: dict[str, list[float]] = {}
    last: dict[str, tuple[int, int]] = {}
    first = {}
    for address in addresses:
        first[address], status, content = caller.call(address)
        last[address], found[address] = (status, len(content)), []
    for number in range(rounds):
        if number and time.monotonic() > ends:
            break
        for address, times in found.items():
            if first[address] > LONG_MS and number >= 3:
                continue
            elapsed_ms, status, content = caller.call(address)
            times.append(elapsed_ms)
            last[address] = status, len(content)
    return {address: summarize(times, *last[address]) for address, times in found.items()}


def summarize(times: list[float], status: int = 200, size: int = 0) -> Times:
    """Return the median and the 99th percentile of times in milliseconds."""
    return Times(float(np.median(times)), float(np.percentile(times, 99)), len(times), status, size)
