"""Sends images to several backends at once, and asks predictors for their health.

Each backend has its own failure: a backend that is down or slow costs only its own answer.
"""

import asyncio
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from services.gateway.prediction.batcher import Batcher
from services.gateway.prediction.joint_prediction import JointLimits, PendingPrediction, collect_outcomes
from services.gateway.prediction.outcomes import Outcome
from services.gateway.prediction.replica import ReplicaReport
from services.gateway.prediction.replicas import Replicas
from services.gateway.prediction.waiting_images import WaitingImages
from shared.settings import Settings
from shared.web.shared_figures import SharedAmounts


class Dispatcher:
    """The predictors of all backends.

    Coroutines run on the server's event loop. Flask's threads call the other methods.

    Args:
        shared: images that wait in all processes of the gateway, if there are several.

    Attributes:
        loop: the server's event loop; it is set when the server starts.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, settings: Settings, shared: SharedAmounts | None = None) -> None:
        self._limits = JointLimits(settings.joint_timeout_s, settings.prediction_timeout_s)
        self._replicas = {
            backend: Replicas(settings.urls_of(backend), settings.socket_of(backend)) for backend in settings.backends
        }
        self._batchers: dict[tuple[str, str, int], Batcher] = {}
        self._shared = WaitingImages(shared, settings.backends) if shared is not None else None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use the server's event loop, which runs this, and begin to look for predictors."""
        self.loop = loop
        for replicas in self._replicas.values():
            replicas.start()

    def close(self) -> None:
        """Look for predictors no longer, and close the connections that no request uses."""
        for replicas in self._replicas.values():
            replicas.close()

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
            replicas, timeout_s = self._replicas[backend], self._limits.first_s
            batcher = self._batchers[key] = Batcher(replicas, *key, timeout_s, self._forget, self._shared)
        return batcher

    def _forget(self, batcher: Batcher) -> None:
        """Drop an idle batcher."""
        if self._batchers.get(batcher.key) is batcher:
            del self._batchers[batcher.key]

    def ask_health(self) -> "Future[dict[str, list[ReplicaReport]]]":
        """Ask each predictor what it reports of itself, without waiting.

        Returns:
            The reports by backend, one per predictor, after at most HEALTH_TIMEOUT_S.
        """
        return asyncio.run_coroutine_threadsafe(self._collect_health(), self.loop)

    async def _collect_health(self) -> dict[str, list[ReplicaReport]]:
        reports = await asyncio.gather(*(replicas.ask_health() for replicas in self._replicas.values()))
        return dict(zip(self._replicas, reports, strict=True))

    def ask_backends_up(self) -> "Future[dict[str, bool]]":
        """Ask for each backend whether at least one of its predictors answers, without waiting."""
        return asyncio.run_coroutine_threadsafe(self.find_backends_up(), self.loop)

    async def find_backends_up(self) -> dict[str, bool]:
        """Return for each backend whether at least one of its predictors answers."""
        are_up = await asyncio.gather(*(replicas.is_any_up() for replicas in self._replicas.values()))
        return dict(zip(self._replicas, are_up, strict=True))

    def count_predictors(self, backend: str) -> tuple[int, int]:
        """Return how many predictors of a backend were up, and how many were down, when they were last asked."""
        return self._replicas[backend].count()

    def count_waiting(self, backend: str) -> tuple[int, float]:
        """Return how many images wait for a backend, and for how many seconds the first of them has."""
        if self._shared is not None:
            return self._shared.count_waiting(backend)
        counts = [batcher.count_waiting() for key, batcher in list(self._batchers.items()) if key[0] == backend]
        return sum(images for images, _ in counts), max((age_s for _, age_s in counts), default=0.0)
