"""Waits for the predictions of several backends: which backends are waited for, and how long (ADR 19).

Once one backend has answered, the others have until `joint_s` after the request began. If none has answered by then,
the first answer ends the wait. A backend that is left out gets a Failure that says why.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.gateway.prediction.batcher import Batcher
from services.gateway.prediction.outcomes import Answer, Failure, Outcome, QueuedRequest


@dataclass(frozen=True)
class JointLimits:
    """How long a prediction by several backends may take, in seconds since the request began.

    Attributes:
        joint_s: for the other backends, once one has answered.
        first_s: for the first answer.
    """

    joint_s: float
    first_s: float


class PendingPrediction(NamedTuple):
    """A backend's request, and the batcher that has it."""

    batcher: Batcher
    request: QueuedRequest


async def collect_outcomes(
    pending: Mapping[str, PendingPrediction], limits: JointLimits, wait_for_all: bool
) -> dict[str, Outcome]:
    """Wait for the outcomes of requests that have just been enqueued, and withdraw those that take too long.

    Args:
        pending: the request of each backend.
        limits: how long to wait.
        wait_for_all: False to return as soon as one backend has answered.

    Returns:
        The outcome of every backend, in the order of `pending`.
    """
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    joint_s = min(limits.joint_s, limits.first_s)
    outcomes: dict[str, Outcome] = {}
    unfinished = dict(pending)
    try:
        # Most often all backends answer soon. One wait for all of them takes half as long as one for each.
        is_usual = wait_for_all and not any(one.batcher.call_age_s > joint_s for one in pending.values())
        if is_usual and await _wait_for_all([one.request.outcome for one in pending.values()], joint_s):
            return {backend: one.request.outcome.result() for backend, one in pending.items()}
        while True:
            for backend in [name for name, one in unfinished.items() if one.request.outcome.done()]:
                outcomes[backend] = unfinished.pop(backend).request.outcome.result()
            has_answer = any(isinstance(outcome, Answer) for outcome in outcomes.values())
            limit_s = joint_s if has_answer else limits.first_s
            timeout_s = max(0.0, started_s + limit_s - loop.time())
            if has_answer and timeout_s:
                left_out = _leave_out(unfinished, joint_s, wait_for_all)
                outcomes |= left_out
                unfinished = {backend: one for backend, one in unfinished.items() if backend not in left_out}
            if not unfinished:
                break
            waited_for = [one.request.outcome for one in unfinished.values()]
            finished, _ = await asyncio.wait(waited_for, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not finished:
                outcomes |= {
                    backend: Failure(f"{backend} did not answer within {limit_s:g} s") for backend in unfinished
                }
                break
    finally:
        for batcher, request in pending.values():
            batcher.withdraw(request)
    return {backend: outcomes[backend] for backend in pending}


async def _wait_for_all(outcomes: Sequence[asyncio.Future[Outcome]], timeout_s: float) -> bool:
    """Wait until all futures are done, and return whether they are. This takes half as long as `asyncio.wait`."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    unfinished = len(outcomes)

    def count(_: asyncio.Future[Outcome]) -> None:
        nonlocal unfinished
        unfinished -= 1
        if not unfinished and not ended.done():
            ended.set_result(None)

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    timer = loop.call_later(timeout_s, end)
    for outcome in outcomes:
        outcome.add_done_callback(count)
    try:
        await ended
    finally:
        timer.cancel()
        for outcome in outcomes:
            outcome.remove_done_callback(count)
    return unfinished == 0


def _leave_out(unfinished: Mapping[str, PendingPrediction], limit_s: float, wait_for_all: bool) -> dict[str, Failure]:
    """Return the backends that are not waited for any longer now that another one has answered.

    A backend whose call in flight, perhaps of another request, has had no reply for longer than the limit probably
    hangs. If every request waited for it up to the limit, it would slow all requests.
    """
    if not wait_for_all:
        return {backend: Failure(f"{backend} was not waited for (wait=any)") for backend in unfinished}
    ages_s = {backend: one.batcher.call_age_s for backend, one in unfinished.items()}
    return {
        backend: Failure(f"{backend} has not replied to a call for {age_s:.1f} s")
        for backend, age_s in ages_s.items()
        if age_s > limit_s
    }
