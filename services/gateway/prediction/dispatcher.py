"""The gateway's side of the hop: one tensor to several backends, in parallel.

Each backend has its own deadline and its own failure: one that is down or
slow costs its own answer, named, and nobody else's.
"""

import asyncio
import json
from collections.abc import Coroutine
from functools import partial
from time import perf_counter
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from services.gateway.prediction.batcher import Answer, Batcher, Failure, Outcome
from shared.serving.client import ConnectionFailedError, PredictorClient, Reply
from shared.settings import Settings
from shared.web.request_metrics import PICTURES, SECONDS

HEALTH_TIMEOUT_S = 1.0

HOP_SECONDS = Histogram("tandem_hop_duration_seconds", "Of a call to a predictor", ["backend"], buckets=SECONDS)
HOP_PICTURES = Histogram("tandem_hop_pictures", "Pictures that a call took along", ["backend"], buckets=PICTURES)

T = TypeVar("T")


class Dispatcher:
    """Every backend's predictor, and the lines before them, on the event loop of the server.

    `ask` is for the loop itself; threads beside it have `predict` and `health`.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.prediction_timeout_s
        self._connections = {backend: PredictorClient(settings.url_of(backend)) for backend in settings.backends}
        self._lines: dict[tuple[str, str, int], Batcher] = {}
        self._seconds = {backend: HOP_SECONDS.labels(backend) for backend in settings.backends}
        self._pictures = {backend: HOP_PICTURES.labels(backend) for backend in settings.backends}

    async def ask(
        self, backends: tuple[str, ...], name: str, version: int, images: NDArray[np.uint8]
    ) -> dict[str, Outcome]:
        """Ask every backend at once for the same images, uint8 [N, H, W, C]."""
        asked = [self._line(backend, name, version).ask(images, self._timeout_s) for backend in backends]
        outcomes = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        return dict(zip(backends, outcomes, strict=True))

    def predict(
        self, backends: tuple[str, ...], name: str, version: int, images: NDArray[np.uint8]
    ) -> dict[str, Outcome]:
        """See `ask`."""
        return self._wait(self.ask(backends, name, version, images))

    def health(self) -> dict[str, dict[str, Any] | None]:
        """What each predictor says of itself; None of one that does not answer."""
        return self._wait(self._health())

    def waiting(self, backend: str) -> tuple[int, float]:
        """How many pictures wait in a backend's lines, and for how many seconds the first of them has."""
        lines = [line.waiting() for (of, *_), line in list(self._lines.items()) if of == backend]
        return sum(pictures for pictures, _ in lines), max((age_s for _, age_s in lines), default=0.0)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def _health(self) -> dict[str, dict[str, Any] | None]:
        said = await asyncio.gather(*map(_health, self._connections.values()))
        return dict(zip(self._connections, said, strict=True))

    def _line(self, backend: str, name: str, version: int) -> Batcher:
        key = (backend, name, version)
        if key not in self._lines:
            self._lines[key] = Batcher(backend, partial(self._call, *key))
        return self._lines[key]

    async def _call(self, backend: str, name: str, version: int, images: NDArray[np.uint8]) -> Outcome:
        begun = perf_counter()
        self._pictures[backend].observe(len(images))
        try:
            reply = await self._connections[backend].request(
                "POST", f"/predict/{name}/{version}", images.tobytes(), timeout_s=self._timeout_s
            )
        except TimeoutError:
            return Failure(f"{backend} did not answer within {self._timeout_s:g} s")
        except ConnectionFailedError:
            return Failure(f"{backend}'s predictor does not answer")
        finally:
            duration_s = perf_counter() - begun
            self._seconds[backend].observe(duration_s)
        if reply.status != 200:
            return Failure(_reason(backend, reply))
        try:
            probabilities = np.frombuffer(reply.body, "<f4").reshape(len(images), -1)
            compute_ms = float(reply.headers["server-timing"].removeprefix("compute;dur="))
        except (ValueError, LookupError) as error:
            return Failure(f"{backend}'s predictor answers what cannot be read: {error}")
        return Answer(probabilities, duration_s * 1000, compute_ms)


async def _health(connections: PredictorClient) -> dict[str, Any] | None:
    try:
        reply = await connections.request("GET", "/health", timeout_s=HEALTH_TIMEOUT_S)
        return cast(dict[str, Any], json.loads(reply.body)) if reply.status == 200 else None
    except (TimeoutError, ConnectionFailedError, ValueError):
        return None


def _reason(backend: str, reply: Reply) -> str:
    try:
        return f"{backend}: {json.loads(reply.body)['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{backend}'s predictor answered {reply.status}"
