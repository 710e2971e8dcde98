"""Times requests: one connection, one request after the other, the addresses interleaved."""

import contextlib
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
        size: bytes of the last response.
    """

    median_ms: float
    p99_ms: float
    count: int
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

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def time_addresses(url: str, addresses: Iterable[str], rounds: int, limit_s: float) -> dict[str, Times]:
    """Ask each address several times, and return how long it took. The first answer of each does not count.

    Args:
        url: the gateway's URL.
        addresses: paths with their queries.
        rounds: how often each is asked. One that took longer than a second at first is asked three times.
        limit_s: no new round begins after so many seconds.

    Raises:
        SystemExit: an answer has a status of 400 or more. An error is faster than what it replaces.
    """
    sizes: dict[str, int] = {}
    with contextlib.closing(Caller(url)) as caller:

        def ask(address: str) -> float:
            elapsed_ms, status, content = caller.call(address)
            if status >= 400:
                raise SystemExit(f"{address} answered {status}: {content[:300]!r}")
            sizes[address] = len(content)
            return elapsed_ms

        ends = time.monotonic() + limit_s
        first = {address: ask(address) for address in addresses}
        found: dict[str, list[float]] = {address: [] for address in first}
        for number in range(rounds):
            if number and time.monotonic() > ends:
                break
            for address, times in found.items():
                if first[address] <= LONG_MS or number < 3:
                    times.append(ask(address))
    return {address: summarize(times, sizes[address]) for address, times in found.items()}


def summarize(times: list[float], size: int = 0) -> Times:
    """Return the median and the 99th percentile of times in milliseconds."""
    return Times(float(np.median(times)), float(np.percentile(times, 99)), len(times), size)
