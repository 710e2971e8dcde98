"""Requests that wait together share one call.

Whoever comes while nothing is in flight goes at once. Whoever comes later
waits for the call in flight, and then goes with all the others that wait,
first come first served, as one tensor. Nobody waits for a timer. All of it
runs on one event loop, so that nothing is locked and no thread is woken.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from structlog.contextvars import bound_contextvars

from shared.logs import request_id

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
    outcome: asyncio.Future[Outcome]
    since: float = field(default_factory=perf_counter)
    id: str = field(default_factory=request_id)


class Batcher:
    """The line for one model of one backend.

    Args:
        call: asks the backend about images, uint8 [N, H, W, C].
    """

    def __init__(self, backend: str, call: Callable[[NDArray[np.uint8]], Awaitable[Outcome]]) -> None:
        self._backend, self._call = backend, call
        self._waiting: deque[_Request] = deque()
        self._in_flight = False
        self._carrier: asyncio.Task[None] | None = None  # kept, as the loop itself does not

    async def ask(self, images: NDArray[np.uint8], timeout_s: float) -> Outcome:
        """Ask, and wait for the outcome; after `timeout_s` in the line it is a failure."""
        if not self._in_flight:
            self._in_flight = True
            try:
                return await self._call(images)
            finally:
                self._next()
        if self.waiting()[0] + len(images) > MAX_WAITING:
            return Failure(f"{self._backend} has {MAX_WAITING} pictures waiting: come again in a moment")
        request = _Request(images, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        try:
            async with asyncio.timeout(timeout_s):
                return await request.outcome
        except TimeoutError:
            return Failure(f"{self._backend} did not answer in time")

    def waiting(self) -> tuple[int, float]:
        """How many pictures wait, and for how many seconds the first of them has; from any thread."""
        requests = list(self._waiting)
        age_s = perf_counter() - requests[0].since if requests else 0.0
        return sum(len(request.images) for request in requests), age_s

    def _next(self) -> None:
        """A call is over: the next one, if anybody waits."""
        self._in_flight = bool(self._waiting)
        if self._in_flight:
            self._carrier = asyncio.get_running_loop().create_task(self._carry())

    async def _carry(self) -> None:
        """Call for those who wait, until nobody does."""
        while requests := self._take():
            begun = perf_counter()
            try:
                # Eight of up to 64 ids: enough to find a call by, in a header as short as the call.
                with bound_contextvars(request_id=",".join(request.id for request in requests[:8])):
                    outcome = await self._call(np.concatenate([request.images for request in requests]))
            except Exception as error:
                outcome = Failure(f"{self._backend} could not be asked: {type(error).__name__}: {error}")
            first = 0
            for request in requests:
                share = outcome
                if isinstance(outcome, Answer):
                    rows = outcome.probabilities[first : first + len(request.images)]
                    share = replace(outcome, probabilities=rows, queue_ms=(begun - request.since) * 1000)
                    first += len(request.images)
                if not request.outcome.done():  # else nobody waits for it any more
                    request.outcome.set_result(share)
        self._in_flight = False

    def _take(self) -> list[_Request]:
        """The first who wait, as many as one call takes."""
        taken: list[_Request] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0].images) <= MAX_CALL):
            request = self._waiting.popleft()
            if not request.outcome.done():
                taken.append(request)
                count += len(request.images)
        return taken
