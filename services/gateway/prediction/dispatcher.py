"""Sends images to several backends at once, and asks predictors for their health.

Each backend has its own failure: a backend that is down or slow costs only its own answer.
"""

import asyncio
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from services.gateway.prediction.batcher import Batcher, Outcome
from services.gateway.prediction.joint_prediction import JointLimits, PendingPrediction, collect_outcomes
from services.gateway.prediction.waiting_images import WaitingImages
from shared.serving.client import ConnectionFailedError, PredictorClient
from shared.serving.health import ProcessUse
from shared.settings import Settings
from shared.web.shared_figures import SharedAmounts

HEALTH_TIMEOUT_S = 1.0


class Dispatcher:
    """The predictors of all backends.

    `predict` runs on the server's event loop. Flask's threads call `ask_health` and `count_waiting`.

    Args:
        shared: images that wait in all processes of the gateway, if there are several.

    Attributes:
        loop: the server's event loop; it is set when the server starts.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, settings: Settings, shared: SharedAmounts | None = None) -> None:
        self._limits = JointLimits(settings.joint_timeout_s, settings.prediction_timeout_s)
        self._clients = {
            backend: PredictorClient(settings.url_of(backend), settings.socket_of(backend))
            for backend in settings.backends
        }
        self._batchers: dict[tuple[str, str, int], Batcher] = {}
        self._shared = WaitingImages(shared, settings.backends) if shared is not None else None

    async def predict(
        self,
        backends: tuple[str, ...],
        name: str,
        version: int,
        images: NDArray[np.uint8],
        *,
        wait_for_all: bool = True,
    ) -> dict[str, Outcome]:
        """Have every backend predict the same images, uint8 [N, H, W, C].

        `joint_prediction.py` decides how long several backends are waited for.

        Args:
            wait_for_all: False to return as soon as one backend has answered.
        """
        if len(backends) == 1:
            return {backends[0]: await self._batcher_of(backends[0], name, version).predict(images)}
        batchers = {backend: self._batcher_of(backend, name, version) for backend in backends}
        pending = {
            backend: PendingPrediction(batcher, batcher.enqueue(images)) for backend, batcher in batchers.items()
        }
        return await collect_outcomes(pending, self._limits, wait_for_all)

    def _batcher_of(self, backend: str, name: str, version: int) -> Batcher:
        """Return the batcher of a model. It exists only while requests for the model are on their way."""
        key = (backend, name, version)
        batcher = self._batchers.get(key)
        if batcher is None:
            client, timeout_s = self._clients[backend], self._limits.first_s
            batcher = self._batchers[key] = Batcher(client, *key, timeout_s, self._forget, self._shared)
        return batcher

    def _forget(self, batcher: Batcher) -> None:
        """Drop an idle batcher."""
        if self._batchers.get(batcher.key) is batcher:
            del self._batchers[batcher.key]

    def ask_health(self) -> "Future[dict[str, ProcessUse | None]]":
        """Ask each predictor what it reports of itself, without waiting.

        Returns:
            The reports by backend, after at most HEALTH_TIMEOUT_S; None for a predictor that does not answer.
        """
        return asyncio.run_coroutine_threadsafe(self.collect_health(), self.loop)

    def count_waiting(self, backend: str) -> tuple[int, float]:
        """Return how many images wait for a backend, and for how many seconds the first of them has."""
        if self._shared is not None:
            return self._shared.count_waiting(backend)
        counts = [batcher.count_waiting() for key, batcher in list(self._batchers.items()) if key[0] == backend]
        return sum(images for images, _ in counts), max((age_s for _, age_s in counts), default=0.0)

    async def collect_health(self) -> dict[str, ProcessUse | None]:
        """Return what each predictor reports of itself; see `ask_health`, which other threads call."""
        reports = await asyncio.gather(*map(_health_of, self._clients.values()))
        return dict(zip(self._clients, reports, strict=True))


async def _health_of(client: PredictorClient) -> ProcessUse | None:
    try:
        reply = await client.request("GET", "/health", timeout_s=HEALTH_TIMEOUT_S)
        return ProcessUse.model_validate_json(reply.body) if reply.status == 200 else None
    except (TimeoutError, ConnectionFailedError, ValidationError):
        return None
