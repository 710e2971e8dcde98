"""Sends images to several backends at once, and asks predictors for their health.

Each backend has its own deadline and its own failure: a backend that is down or slow costs only its own answer.
"""

import asyncio

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from services.gateway.prediction.batcher import Batcher, Outcome
from shared.serving.client import ConnectionFailedError, PredictorClient
from shared.serving.health import ProcessUse
from shared.settings import Settings

HEALTH_TIMEOUT_S = 1.0


class Dispatcher:
    """The predictors of all backends.

    `predict` runs on the server's event loop. Flask's threads call `health` and `count_waiting`.

    Attributes:
        loop: the server's event loop; it is set when the server starts.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.prediction_timeout_s
        self._clients = {backend: PredictorClient(settings.url_of(backend)) for backend in settings.backends}
        self._batchers: dict[tuple[str, str, int], Batcher] = {}

    async def predict(
        self, backends: tuple[str, ...], name: str, version: int, images: NDArray[np.uint8]
    ) -> dict[str, Outcome]:
        """Have every backend predict the same images, uint8 [N, H, W, C]."""
        calls = [self._predict(backend, name, version, images) for backend in backends]
        outcomes = [await calls[0]] if len(calls) == 1 else await asyncio.gather(*calls)
        return dict(zip(backends, outcomes, strict=True))

    async def _predict(self, backend: str, name: str, version: int, images: NDArray[np.uint8]) -> Outcome:
        """Predict with one backend. A batcher exists only while requests for its model are on their way."""
        key = (backend, name, version)
        batcher = self._batchers.get(key)
        if batcher is None:
            batcher = self._batchers[key] = Batcher(self._clients[backend], *key, self._timeout_s)
        try:
            return await batcher.predict(images)
        finally:
            if batcher.is_idle and self._batchers.get(key) is batcher:
                del self._batchers[key]

    def health(self) -> dict[str, ProcessUse | None]:
        """Return what each predictor reports of itself, or None if it does not answer. It blocks."""
        return asyncio.run_coroutine_threadsafe(self._ask_health(), self.loop).result()

    def count_waiting(self, backend: str) -> tuple[int, float]:
        """Return how many images wait for a backend, and for how many seconds the first of them has."""
        counts = [batcher.count_waiting() for key, batcher in list(self._batchers.items()) if key[0] == backend]
        return sum(images for images, _ in counts), max((age_s for _, age_s in counts), default=0.0)

    async def _ask_health(self) -> dict[str, ProcessUse | None]:
        reports = await asyncio.gather(*map(_health_of, self._clients.values()))
        return dict(zip(self._clients, reports, strict=True))


async def _health_of(client: PredictorClient) -> ProcessUse | None:
    try:
        reply = await client.request("GET", "/health", timeout_s=HEALTH_TIMEOUT_S)
        return ProcessUse.model_validate_json(reply.body) if reply.status == 200 else None
    except (TimeoutError, ConnectionFailedError, ValidationError):
        return None
