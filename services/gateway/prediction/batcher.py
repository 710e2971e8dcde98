"""Requests for the same version of one backend's model share a call to a predictor if they wait at the same time.

A batcher has at most one call in flight to each predictor of its backend. A request that arrives while a predictor is
free is sent at once. Other requests wait until a call ends. Then those that wait are sent together as one tensor, first
come first served, at most MAX_CALL_IMAGES images per call; a single request may have more. No request waits for a
timer. A call whose connection fails is sent to another predictor. Everything runs on one event loop, so nothing is
locked. If the gateway has several processes, MAX_WAITING_IMAGES holds for all of them together.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import cache
from time import perf_counter

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client import Histogram

from services.gateway.prediction.outcomes import Answer, Failure, Outcome, QueuedRequest
from services.gateway.prediction.replica import Replica
from services.gateway.prediction.replicas import Replicas
from services.gateway.prediction.waiting_images import WaitingImages
from shared.logs import request_id, use_request_id
from shared.serving.client import ConnectionFailedError, PredictorError
from shared.web.request_metrics import IMAGE_BUCKETS, SECONDS_BUCKETS

MAX_CALL_IMAGES = 64  # in one call, unless a single request has more
MAX_WAITING_IMAGES = 512
LOGGED_IDS = 8  # of the up to 64 requests in a call: enough to find the call in the logs
MAX_IDS_LENGTH = 1024  # of these ids together: a client chooses its id, and a header has a limit

CALL_SECONDS = Histogram(
    "tandem_hop_duration_seconds", "Of a call to a predictor", ["backend"], buckets=SECONDS_BUCKETS
)
CALL_IMAGES = Histogram("tandem_hop_pictures", "Pictures in a call to a predictor", ["backend"], buckets=IMAGE_BUCKETS)

log = structlog.get_logger()


@cache
def _histograms_of(backend: str) -> tuple[Histogram, Histogram]:
    """Return a backend's histograms of seconds and images; looking them up takes longer than observing a value."""
    return CALL_SECONDS.labels(backend), CALL_IMAGES.labels(backend)


class Batcher:
    """The waiting requests of one model of one backend.

    Args:
        replicas: the backend's predictors.
        timeout_s: how long a request may wait for its call, and how long the call may take.
        on_idle: called with the batcher when no call is in flight and no request waits.
        shared: images that wait in all processes of the gateway, if there are several.
    """

    def __init__(
        self,
        replicas: Replicas,
        backend: str,
        name: str,
        version: int,
        timeout_s: float,
        on_idle: "Callable[[Batcher], None] | None" = None,
        shared: WaitingImages | None = None,
    ) -> None:
        self.key = (backend, name, version)
        self._replicas, self._backend, self._timeout_s = replicas, backend, timeout_s
        self._name, self._version = name, version
        self._on_idle, self._shared = on_idle, shared
        self._call_seconds, self._call_images = _histograms_of(backend)
        self._waiting: deque[QueuedRequest] = deque()
        self._waiting_images = 0
        self._calls: dict[Replica, float] = {}  # predictors to which a call is in flight, and when it began
        self._is_starting = False  # whether a sender was created that has not begun to send
        self._senders: set[asyncio.Task[None]] = set()  # the event loop itself keeps no reference

    @property
    def is_idle(self) -> bool:
        """Whether no call is in flight and no request waits."""
        return not self._calls

    @property
    def call_age_s(self) -> float:
        """For how many seconds a new request may have to wait already: the age of the youngest call in flight.

        It is 0 if a predictor is free.
        """
        if not self._calls or self._replicas.has_other_than(self._calls):
            return 0.0
        return perf_counter() - max(self._calls.values())

    async def predict(self, images: NDArray[np.uint8]) -> Outcome:
        """Predict images, uint8 [N, H, W, C], at once or with the other requests that wait.

        If more than MAX_WAITING_IMAGES images would wait, the outcome is a Failure at once.
        """
        if not self._waiting and (replica := self._replicas.choose(self._calls)):
            # Without a future and a task, which would take longer than a small prediction.
            self._calls[replica] = perf_counter()
            try:
                return await self._call([images], replica)
            finally:
                self._end_call(replica)
        request = self.enqueue(images)
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._give_up, request)
        try:
            return await request.outcome
        finally:
            timer.cancel()
            self.withdraw(request)

    def enqueue(self, images: NDArray[np.uint8]) -> QueuedRequest:
        """Have images, uint8 [N, H, W, C], predicted by the next call. The caller waits for the request's outcome.

        If more than MAX_WAITING_IMAGES images would wait, the outcome is a Failure at once. A caller that stops waiting
        must withdraw the request.
        """
        request = QueuedRequest(images, asyncio.get_running_loop().create_future(), perf_counter(), request_id())
        replica = None if self._is_starting else self._replicas.choose(self._calls)
        if not replica and not self._has_room(request):
            request.outcome.set_result(
                Failure(f"{self._backend} has {MAX_WAITING_IMAGES} images waiting: try again in a moment")
            )
            return request
        self._waiting.append(request)
        self._waiting_images += len(images)
        if replica:
            self._start_sender(replica)
        return request

    def withdraw(self, request: QueuedRequest) -> None:
        """Forget a request for whose outcome nobody waits. A call in flight goes on, because others may share it."""
        if not request.outcome.done() or request.outcome.cancelled():
            request.outcome.cancel()
            self._forget(request)

    def _forget(self, request: QueuedRequest) -> None:
        if request in self._waiting:  # else its call is in flight
            self._waiting.remove(request)
            self._waiting_images -= len(request.images)
            self._publish()

    def _give_up(self, request: QueuedRequest) -> None:
        """End the wait of a request that has waited for too long."""
        if not request.outcome.done():
            request.outcome.set_result(Failure(f"{self._backend} did not answer in time"))
            self._forget(request)

    def count_waiting(self) -> tuple[int, float]:
        """Return how many images wait, and for how many seconds the first of them has. Any thread may call this."""
        requests = list(self._waiting)
        age_s = perf_counter() - requests[0].since if requests else 0.0
        return self._waiting_images, age_s

    def _has_room(self, request: QueuedRequest) -> bool:
        """Return whether a request may wait. If it may, the other processes know of its images from then on."""
        images = self._waiting_images + len(request.images)
        if self._shared is None or images > MAX_WAITING_IMAGES:
            return images <= MAX_WAITING_IMAGES
        # Published first: of two processes that look at the same time, at least one sees the other's images.
        self._shared.publish(self.key, images, (self._waiting[0] if self._waiting else request).since)
        if images + self._shared.count_elsewhere(self.key) <= MAX_WAITING_IMAGES:
            return True
        self._publish()
        return False

    def _publish(self) -> None:
        """Tell the other processes how many images wait."""
        if self._shared is not None:
            self._shared.publish(self.key, self._waiting_images, self._waiting[0].since if self._waiting else 0.0)

    def _send_waiting(self) -> None:
        """Send the requests that wait, if there are any and a predictor is free."""
        if self._waiting and not self._is_starting and (replica := self._replicas.choose(self._calls)):
            self._start_sender(replica)

    def _start_sender(self, replica: Replica) -> None:
        self._calls[replica] = perf_counter()
        self._is_starting = True
        sender = asyncio.get_running_loop().create_task(self._send(replica))
        self._senders.add(sender)
        sender.add_done_callback(self._senders.discard)

    def _end_call(self, replica: Replica) -> None:
        """Have the next call begin, now that a predictor is free."""
        del self._calls[replica]
        self._send_waiting()
        if not self._calls and self._on_idle:
            self._on_idle(self)

    async def _send(self, replica: Replica) -> None:
        """Call a predictor until no request waits, or it fails."""
        self._is_starting = False
        try:
            while requests := self._take():
                self._send_waiting()  # what this call has no room for
                started = self._calls[replica] = perf_counter()
                ids = ",".join(request.id for request in requests[:LOGGED_IDS])[:MAX_IDS_LENGTH]
                with use_request_id(ids):
                    outcome = await self._call([request.images for request in requests], replica)
                _share(outcome, requests, started)
                if not replica.is_up:
                    break
        finally:
            self._end_call(replica)

    async def _call(self, parts: list[NDArray[np.uint8]], replica: Replica) -> Outcome:
        """Call a predictor with the images of one or more requests, and record the call."""
        backend, started = self._backend, perf_counter()
        try:
            images = np.concatenate(parts) if len(parts) > 1 else parts[0]
            self._call_images.observe(len(images))
            computed = await self._replicas.predict(replica, self._name, self._version, images, self._timeout_s)
        except TimeoutError:
            return Failure(f"{backend} did not answer within {self._timeout_s:g} s")
        except ConnectionFailedError:
            return Failure(f"{backend}'s predictor does not answer")
        except PredictorError as error:
            return Failure(f"{backend}: {error}")
        except Exception as error:  # a fault of ours: without an outcome, the requests would wait for their deadline
            log.exception("a call to a predictor failed", backend=backend, model=self._name, version=self._version)
            return Failure(f"{backend} could not be asked: {type(error).__name__}: {error}")
        finally:
            duration_s = perf_counter() - started
            self._call_seconds.observe(duration_s)
        return Answer(computed.probabilities, duration_s * 1000, computed.compute_ms)

    def _take(self) -> list[QueuedRequest]:
        """Take the first requests that fit into one call."""
        taken: list[QueuedRequest] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0].images) <= MAX_CALL_IMAGES):
            request = self._waiting.popleft()
            taken.append(request)
            count += len(request.images)
        self._waiting_images -= count
        if taken:
            self._publish()
        return taken


def _share(outcome: Outcome, requests: list[QueuedRequest], started: float) -> None:
    """Give each request its rows of a call's probabilities, or the call's failure."""
    first = 0
    for request in requests:
        share = outcome
        if isinstance(outcome, Answer):
            rows = outcome.probabilities[first : first + len(request.images)]
            share = Answer(rows, outcome.call_ms, outcome.compute_ms, (started - request.since) * 1000)
            first += len(request.images)
        if not request.outcome.done():
            request.outcome.set_result(share)
