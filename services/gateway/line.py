"""Requests that wait together share one call.

Whoever comes while nothing is in flight goes at once, in its own thread.
Whoever comes later waits for the call in flight, and then goes with all the
others that wait, first come first served, as one tensor. Nobody waits for a
timer, and a lone request pays for a lock.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from structlog.contextvars import bound_contextvars

from shared.telemetry import request_id

MAX_CALL = 64  # pictures in one call, unless a single request has more
MAX_WAITING = 512  # pictures


@dataclass(frozen=True)
class Answer:
    """probabilities float32 [N, classes]; milliseconds in the line, of the whole hop, and of computing within it."""

    probabilities: NDArray[np.float32]
    hop_ms: float
    compute_ms: float
    queue_ms: float = 0.0


@dataclass(frozen=True)
class Failure:
    """Why a backend gave no answer, in words for the client."""

    reason: str


Outcome = Answer | Failure


@dataclass
class _Request:
    images: NDArray[np.uint8]
    since: float = field(default_factory=perf_counter)
    id: str = field(default_factory=request_id)
    outcome: Future[Outcome] = field(default_factory=Future)


class Line:
    """The line for one model of one backend.

    Args:
        call: asks the backend about images, uint8 [N, H, W, C].
        threads: where a call is made for those who waited.
    """

    def __init__(self, backend: str, call: Callable[[NDArray[np.uint8]], Outcome], threads: Executor) -> None:
        self._backend, self._call, self._threads = backend, call, threads
        self._lock = threading.Lock()
        self._in_flight = False
        self._waiting: deque[_Request] = deque()

    def ask(self, images: NDArray[np.uint8], timeout_s: float) -> Outcome:
        """Ask, and wait for the outcome; in this thread, if nothing is in flight."""
        with self._lock:
            outcome = self._join(images) if self._in_flight else None
            self._in_flight = True
        if outcome:
            return self.wait(outcome, timeout_s)
        try:
            return self._call(images)
        finally:
            self._next()

    def submit(self, images: NDArray[np.uint8]) -> Future[Outcome]:
        """Ask in another thread; `wait` gives the outcome."""
        with self._lock:
            outcome = self._join(images)
            idle, self._in_flight = not self._in_flight, True
        if idle:
            self._threads.submit(self._carry)
        return outcome

    def wait(self, outcome: Future[Outcome], timeout_s: float) -> Outcome:
        """An outcome, or after `timeout_s` a failure: then it leaves the line."""
        try:
            return outcome.result(timeout_s)
        except TimeoutError:
            outcome.cancel()
            return Failure(f"{self._backend} did not answer in time")

    def waiting(self) -> tuple[int, float]:
        """How many pictures wait, and for how many seconds the first of them has."""
        with self._lock:
            pictures = sum(len(request.images) for request in self._waiting)
            return pictures, perf_counter() - self._waiting[0].since if self._waiting else 0.0

    def _join(self, images: NDArray[np.uint8]) -> Future[Outcome]:
        request = _Request(images)
        if sum(len(other.images) for other in self._waiting) + len(images) > MAX_WAITING:
            request.outcome.set_result(
                Failure(f"{self._backend} has {MAX_WAITING} pictures waiting: come again in a moment")
            )
        else:
            self._waiting.append(request)
        return request.outcome

    def _next(self) -> None:
        """A call is over: the next one, if anybody waits."""
        with self._lock:
            self._in_flight = bool(self._waiting)
        if self._in_flight:
            self._threads.submit(self._carry)

    def _carry(self) -> None:
        """Call for those who wait, until nobody does."""
        while requests := self._take():
            begun = perf_counter()
            try:
                # Eight of up to 64 ids: enough to find a call by, in a header as short as the call.
                with bound_contextvars(request_id=",".join(request.id for request in requests[:8])):
                    outcome = self._call(np.concatenate([request.images for request in requests]))
            except BaseException as error:
                for request in requests:
                    request.outcome.set_exception(error)
                continue
            first = 0
            for request in requests:
                share = outcome
                if isinstance(outcome, Answer):
                    rows = outcome.probabilities[first : first + len(request.images)]
                    share = replace(outcome, probabilities=rows, queue_ms=(begun - request.since) * 1000)
                    first += len(request.images)
                request.outcome.set_result(share)

    def _take(self) -> list[_Request]:
        """The first who wait, as many as one call takes; if nobody does, nothing is in flight any more."""
        taken: list[_Request] = []
        with self._lock:
            count = 0
            while self._waiting and (not taken or count + len(self._waiting[0].images) <= MAX_CALL):
                request = self._waiting.popleft()
                if request.outcome.set_running_or_notify_cancel():  # else nobody waits for it any more
                    taken.append(request)
                    count += len(request.images)
            self._in_flight = bool(taken)
        return taken
