"""Requests that wait together share one call; who is alone goes at once."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from services.gateway.prediction.batcher import MAX_CALL, MAX_WAITING, Answer, Batcher, Failure, Outcome

TIMEOUT_S = 10.0


class Backend:
    """Answers each picture with its own number; holds a call back until it is told."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun, self.go = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.error: Exception | None = None
        self.line = Batcher("toy", self)

    async def __call__(self, images: NDArray[np.uint8]) -> Outcome:
        self.calls.append(images[:, 0].tolist())
        self.begun.release()
        await asyncio.wait_for(self.go.acquire(), TIMEOUT_S)
        if self.error:
            raise self.error
        return Answer(images.astype(np.float32), hop_ms=2, compute_ms=1)

    def let(self, calls: int = 1) -> None:
        for _ in range(calls):
            self.go.release()

    def ask(self, *numbers: int, timeout_s: float = TIMEOUT_S) -> asyncio.Task[Outcome]:
        images = np.array(numbers, np.uint8).reshape(-1, 1)
        return asyncio.get_running_loop().create_task(self.line.ask(images, timeout_s))

    async def busy(self) -> asyncio.Task[Outcome]:
        """A call that is in flight."""
        first = self.ask(0)
        await self.begun.acquire()
        return first


def run(test: Callable[[Backend], Awaitable[None]]) -> Callable[[], None]:
    async def body() -> None:
        await test(Backend())

    def wrapped() -> None:
        asyncio.run(asyncio.wait_for(body(), 60))

    wrapped.__name__ = test.__name__
    return wrapped


def numbers(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Answer)
    return outcome.probabilities[:, 0].astype(int).tolist()


@run
async def test_a_lone_request_goes_at_once(backend: Backend) -> None:
    backend.let()
    answer = await backend.ask(7)
    assert numbers(answer) == [7]
    assert isinstance(answer, Answer)
    assert answer.queue_ms == 0


@run
async def test_those_who_wait_share_one_call_and_each_gets_its_own(backend: Backend) -> None:
    first = await backend.busy()
    others = [backend.ask(2), backend.ask(3, 4), backend.ask(5)]
    await asyncio.sleep(0)
    assert backend.line.waiting()[0] == 4
    assert backend.line.waiting()[1] > 0
    backend.let(2)
    assert numbers(await first) == [0]
    assert [numbers(await other) for other in others] == [[2], [3, 4], [5]]
    assert backend.calls == [[0], [2, 3, 4, 5]]
    waited = await others[0]
    assert isinstance(waited, Answer)
    assert waited.queue_ms > 0
    assert backend.line.waiting() == (0, 0.0)


@run
async def test_a_call_is_bounded_and_first_come_is_first_served(backend: Backend) -> None:
    await backend.busy()
    many = [backend.ask(*[number] * (MAX_CALL // 2)) for number in (1, 2, 3)]
    many.append(backend.ask(*[4] * (MAX_CALL + 1)))
    await asyncio.sleep(0)
    backend.let(4)
    await asyncio.gather(*many)
    assert [len(call) for call in backend.calls] == [1, MAX_CALL, MAX_CALL // 2, MAX_CALL + 1]
    assert [call[0] for call in backend.calls] == [0, 1, 3, 4]


@run
async def test_a_full_line_says_so_at_once_and_serves_those_in_it(backend: Backend) -> None:
    await backend.busy()
    inside = [backend.ask(*[1] * MAX_CALL) for _ in range(MAX_WAITING // MAX_CALL)]
    await asyncio.sleep(0)
    refused = await backend.ask(9)
    assert isinstance(refused, Failure)
    assert str(MAX_WAITING) in refused.reason
    backend.let(1 + len(inside))
    assert [numbers(outcome) for outcome in await asyncio.gather(*inside)] == [[1] * MAX_CALL] * len(inside)


@run
async def test_who_gives_up_leaves_the_line(backend: Backend) -> None:
    await backend.busy()
    gave_up, stays = backend.ask(1, timeout_s=0.01), backend.ask(2)
    assert isinstance(await gave_up, Failure)
    backend.let(2)
    assert numbers(await stays) == [2]
    assert backend.calls == [[0], [2]]


@run
async def test_one_whose_client_is_gone_holds_nobody_up(backend: Backend) -> None:
    first, others = await backend.busy(), [backend.ask(1), backend.ask(2)]
    await asyncio.sleep(0)
    first.cancel()
    others[0].cancel()
    backend.let(2)
    assert numbers(await others[1]) == [2]
    assert backend.calls == [[0], [2]]


@run
async def test_an_error_is_told_to_all_who_shared_it_and_the_line_goes_on(backend: Backend) -> None:
    first, shared = await backend.busy(), [backend.ask(1), backend.ask(2)]
    await asyncio.sleep(0)
    backend.error = ValueError("broken")
    backend.let(2)
    with pytest.raises(ValueError, match="broken"):
        await first
    for one in shared:
        outcome = await one
        assert isinstance(outcome, Failure)
        assert "broken" in outcome.reason
    backend.error = None
    backend.let()
    assert numbers(await backend.ask(3)) == [3]
