"""The gateway's side of the hop: one tensor to several backends, in parallel.

Each backend has its own deadline and its own failure: one that is down or
slow costs its own answer, named, and nobody else's.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar, cast

import numpy as np
import urllib3
from numpy.typing import NDArray

from shared.settings import Settings

CONNECTIONS = 32
HEALTH_TIMEOUT_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """probabilities float32 [N, classes]; milliseconds of the whole hop, and of computing within it."""

    probabilities: NDArray[np.float32]
    hop_ms: float
    compute_ms: float


@dataclass(frozen=True)
class Failure:
    """Why a backend gave no answer, in words for the client."""

    reason: str


class Predictors:
    """Keep-alive connections to every backend's predictor."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.prediction_timeout_s
        self._urls = {backend: settings.url_of(backend) for backend in settings.backends}
        self._http = urllib3.PoolManager(num_pools=len(self._urls), maxsize=CONNECTIONS, retries=False)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="hop")

    def predict(
        self, backends: tuple[str, ...], name: str, version: int, images: NDArray[np.uint8]
    ) -> dict[str, Answer | Failure]:
        """Ask every backend at once for the same images, uint8 [N, H, W, C]."""
        body = images.tobytes()
        return self._all(backends, lambda backend: self._predict(backend, name, version, len(images), body))

    def health(self) -> dict[str, dict[str, Any] | None]:
        """What each predictor says of itself; None of one that does not answer."""
        return self._all(tuple(self._urls), self._health)

    def _all(self, backends: tuple[str, ...], ask: Callable[[str], T]) -> dict[str, T]:
        """Ask all but the last in other threads, and the last in this one."""
        *others, last = backends
        waiting = {backend: self._threads.submit(ask, backend) for backend in others}
        mine = ask(last)
        return {**{backend: future.result() for backend, future in waiting.items()}, last: mine}

    def _predict(self, backend: str, name: str, version: int, count: int, body: bytes) -> Answer | Failure:
        begun = perf_counter()
        try:
            response = self._post(f"{self._urls[backend]}/predict/{name}/{version}", body)
        except urllib3.exceptions.TimeoutError:
            return Failure(f"{backend} did not answer within {self._timeout_s:g} s")
        except urllib3.exceptions.HTTPError:
            return Failure(f"{backend}'s predictor does not answer")
        if response.status != 200:
            return Failure(_reason(backend, response))
        probabilities = np.frombuffer(response.data, "<f4").reshape(count, -1)
        compute_ms = float(response.headers["Server-Timing"].removeprefix("compute;dur="))
        return Answer(probabilities, (perf_counter() - begun) * 1000, compute_ms)

    def _post(self, url: str, body: bytes) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(connect=min(1.0, self._timeout_s), read=self._timeout_s)
        try:
            return self._http.request("POST", url, body=body, timeout=timeout)
        except urllib3.exceptions.ProtocolError:
            # A kept connection whose server was restarted: a prediction changes nothing, so ask again.
            return self._http.request("POST", url, body=body, timeout=timeout)

    def _health(self, backend: str) -> dict[str, Any] | None:
        try:
            response = self._http.request("GET", f"{self._urls[backend]}/health", timeout=HEALTH_TIMEOUT_S)
            return cast(dict[str, Any], response.json()) if response.status == 200 else None
        except (urllib3.exceptions.HTTPError, ValueError):
            return None


def _reason(backend: str, response: urllib3.BaseHTTPResponse) -> str:
    try:
        return f"{backend}: {response.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{backend}'s predictor answered {response.status}"
