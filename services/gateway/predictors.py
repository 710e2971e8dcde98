"""The gateway's side of the hop: one tensor to several backends, in parallel.

Each backend has its own deadline and its own failure: one that is down or
slow costs its own answer, named, and nobody else's.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from services.gateway.hop import AwayError, Connections, Reply
from services.gateway.line import Answer, Failure, Line, Outcome
from shared.server import PICTURES, SECONDS
from shared.settings import Settings

THREADS = 32
HEALTH_TIMEOUT_S = 1.0

HOP_SECONDS = Histogram("tandem_hop_duration_seconds", "Of a call to a predictor", ["backend"], buckets=SECONDS)
HOP_PICTURES = Histogram("tandem_hop_pictures", "Pictures that a call took along", ["backend"], buckets=PICTURES)


class Predictors:
    """Every backend's predictor, and the lines before them."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.prediction_timeout_s
        self._connections = {backend: Connections(settings.url_of(backend)) for backend in settings.backends}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hop")
        self._lines: dict[tuple[str, str, int], Line] = {}
        self._lock = threading.Lock()

    def predict(
        self, backends: tuple[str, ...], name: str, version: int, images: NDArray[np.uint8]
    ) -> dict[str, Outcome]:
        """Ask every backend at once for the same images, uint8 [N, H, W, C]: all but the last in other threads."""
        until = perf_counter() + self._timeout_s
        lines = {backend: self._line(backend, name, version) for backend in backends}
        *others, last = backends
        waiting = {backend: lines[backend].submit(images) for backend in others}
        mine = lines[last].ask(images, self._timeout_s)
        theirs = {
            backend: lines[backend].wait(outcome, max(0.0, until - perf_counter()))
            for backend, outcome in waiting.items()
        }
        return {**theirs, last: mine}

    def health(self) -> dict[str, dict[str, Any] | None]:
        """What each predictor says of itself; None of one that does not answer."""
        return dict(zip(self._connections, self._threads.map(_health, self._connections.values()), strict=True))

    def waiting(self, backend: str) -> tuple[int, float]:
        """How many pictures wait in a backend's lines, and for how many seconds the first of them has."""
        with self._lock:
            lines = [line.waiting() for (of, *_), line in self._lines.items() if of == backend]
        return sum(pictures for pictures, _ in lines), max((age_s for _, age_s in lines), default=0.0)

    def _line(self, backend: str, name: str, version: int) -> Line:
        with self._lock:
            key = (backend, name, version)
            if key not in self._lines:
                self._lines[key] = Line(backend, partial(self._predict, *key), self._threads)
            return self._lines[key]

    def _predict(self, backend: str, name: str, version: int, images: NDArray[np.uint8]) -> Outcome:
        begun = perf_counter()
        HOP_PICTURES.labels(backend).observe(len(images))
        try:
            with HOP_SECONDS.labels(backend).time():
                reply = self._connections[backend].request(
                    "POST", f"/predict/{name}/{version}", images.tobytes(), timeout_s=self._timeout_s
                )
        except TimeoutError:
            return Failure(f"{backend} did not answer within {self._timeout_s:g} s")
        except AwayError:
            return Failure(f"{backend}'s predictor does not answer")
        if reply.status != 200:
            return Failure(_reason(backend, reply))
        probabilities = np.frombuffer(reply.body, "<f4").reshape(len(images), -1)
        compute_ms = float(reply.headers["Server-Timing"].removeprefix("compute;dur="))
        return Answer(probabilities, (perf_counter() - begun) * 1000, compute_ms)


def _health(connections: Connections) -> dict[str, Any] | None:
    try:
        reply = connections.request("GET", "/health", timeout_s=HEALTH_TIMEOUT_S)
        return cast(dict[str, Any], json.loads(reply.body)) if reply.status == 200 else None
    except (TimeoutError, AwayError, ValueError):
        return None


def _reason(backend: str, reply: Reply) -> str:
    try:
        return f"{backend}: {json.loads(reply.body)['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{backend}'s predictor answered {reply.status}"
