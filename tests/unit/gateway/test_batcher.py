"""Requests for one model share calls to its predictor; a lone request is sent at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from services.gateway.prediction.batcher import MAX_CALL_IMAGES, MAX_WAITING_IMAGES, Batcher
from services.gateway.prediction.outcomes import Answer, Failure, Outcome
from services.gateway.prediction.replicas import Replicas
from shared.logs import begin_request, request_id
from shared.serving.client import Computation, ConnectionFailedError, PredictorClient, PredictorRefusedError

TIMEOUT_S = 10.0
WHOLE_TEST_TIMEOUT_S = 60


class ControlledPredictor:
    """Has the interface of a client. It answers each image with the image's own number, when the test lets it."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self.calls: list[list[int]] = []
        self.request_ids: list[str] = []
        self.started, self.permitted = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.error: Exception | None = None
        replicas = Replicas(("http://127.0.0.1:1",))
        replica = replicas.choose(())
        assert replica is not None
        replica.client = cast(PredictorClient, self)
        self.batcher = Batcher(replicas, "toy", "m", 1, timeout_s)

    async def predict(self, name: str, version: int, images: NDArray[np.uint8], timeout_s: float) -> Computation:
        assert (name, version) == ("m", 1)
        self.calls.append(images[:, 0].tolist())
        self.request_ids.append(request_id())
        self.started.release()
        await asyncio.wait_for(self.permitted.acquire(), TIMEOUT_S)
        if self.error:
            raise self.error
        return Computation(images.astype(np.float32), compute_ms=1)

    def permit(self, calls: int = 1) -> None:
        for _ in range(calls):
            self.permitted.release()

    def send(self, *numbers: int) -> asyncio.Task[Outcome]:
        images = np.array(numbers, np.uint8).reshape(-1, 1)
        return asyncio.get_running_loop().create_task(self.batcher.predict(images))

    async def start_call(self) -> asyncio.Task[Outcome]:
        """Return a request whose call is in flight."""
        first = self.send(0)
        await self.started.acquire()
        return first


def run(test: Callable[[ControlledPredictor], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of a coroutine."""

    async def body() -> None:
        await test(ControlledPredictor())

    def wrapped() -> None:
        asyncio.run(asyncio.wait_for(body(), WHOLE_TEST_TIMEOUT_S))

    wrapped.__name__ = test.__name__
    return wrapped


def numbers_of(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Answer)
    return outcome.probabilities[:, 0].astype(int).tolist()


@run
async def test_a_lone_request_is_sent_at_once(predictor: ControlledPredictor) -> None:
    predictor.permit()
    answer = await predictor.send(7)
    assert numbers_of(answer) == [7]
    assert isinstance(answer, Answer)
    assert answer.queue_ms == 0
    assert predictor.batcher.is_idle


@run
async def test_requests_that_wait_share_one_call_and_each_gets_its_own_rows(predictor: ControlledPredictor) -> None:
    first = await predictor.start_call()
    assert not predictor.batcher.is_idle
    others = [predictor.send(2), predictor.send(3, 4), predictor.send(5)]
    await asyncio.sleep(0)
    images, age_s = predictor.batcher.count_waiting()
    assert images == 4
    assert age_s > 0
    predictor.permit(2)
    assert numbers_of(await first) == [0]
    assert [numbers_of(await other) for other in others] == [[2], [3, 4], [5]]
    assert predictor.calls == [[0], [2, 3, 4, 5]]
    waited = await others[0]
    assert isinstance(waited, Answer)
    assert waited.queue_ms > 0
    assert predictor.batcher.count_waiting() == (0, 0.0)


@run
async def test_a_call_is_bounded_and_requests_are_served_in_their_order(predictor: ControlledPredictor) -> None:
    await predictor.start_call()
    many = [predictor.send(*[number] * (MAX_CALL_IMAGES // 2)) for number in (1, 2, 3)]
    many.append(predictor.send(*[4] * (MAX_CALL_IMAGES + 1)))
    await asyncio.sleep(0)
    predictor.permit(4)
    await asyncio.gather(*many)
    assert [len(call) for call in predictor.calls] == [1, MAX_CALL_IMAGES, MAX_CALL_IMAGES // 2, MAX_CALL_IMAGES + 1]
    assert [call[0] for call in predictor.calls] == [0, 1, 3, 4]


@run
async def test_beyond_the_limit_of_waiting_images_a_request_is_refused(predictor: ControlledPredictor) -> None:
    await predictor.start_call()
    waiting = [predictor.send(*[1] * MAX_CALL_IMAGES) for _ in range(MAX_WAITING_IMAGES // MAX_CALL_IMAGES)]
    await asyncio.sleep(0)
    refused = await predictor.send(9)
    assert isinstance(refused, Failure)
    assert str(MAX_WAITING_IMAGES) in refused.reason
    predictor.permit(1 + len(waiting))
    outcomes = await asyncio.gather(*waiting)
    assert [numbers_of(outcome) for outcome in outcomes] == [[1] * MAX_CALL_IMAGES] * len(waiting)


def test_a_request_that_waited_too_long_is_not_sent() -> None:
    async def body() -> None:
        predictor = ControlledPredictor(timeout_s=0.05)
        await predictor.start_call()
        assert isinstance(await predictor.send(1), Failure)
        late = predictor.send(2)
        await asyncio.sleep(0)
        predictor.permit(2)
        assert numbers_of(await late) == [2]
        assert predictor.calls == [[0], [2]]

    asyncio.run(asyncio.wait_for(body(), WHOLE_TEST_TIMEOUT_S))


@run
async def test_a_request_whose_client_has_left_delays_nobody(predictor: ControlledPredictor) -> None:
    first, others = await predictor.start_call(), [predictor.send(1), predictor.send(2)]
    await asyncio.sleep(0)
    first.cancel()
    others[0].cancel()
    predictor.permit(2)
    assert numbers_of(await others[1]) == [2]
    assert predictor.calls == [[0], [2]]


@run
async def test_a_failed_call_is_a_failure_for_all_that_shared_it_and_the_next_call_goes_on(
    predictor: ControlledPredictor,
) -> None:
    first, shared = await predictor.start_call(), [predictor.send(1), predictor.send(2)]
    await asyncio.sleep(0)
    predictor.error = ValueError("broken")
    predictor.permit(2)
    for one in (first, *shared):
        outcome = await one
        assert isinstance(outcome, Failure)
        assert "broken" in outcome.reason
    predictor.error = None
    predictor.permit()
    assert numbers_of(await predictor.send(3)) == [3]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "toy did not answer within 10 s"),
        (ConnectionFailedError("refused"), "toy's predictor does not answer"),
        (PredictorRefusedError("there is no such model", 404), "toy: there is no such model"),
    ],
)
def test_a_failure_says_what_happened(error: Exception, reason: str) -> None:
    async def body() -> None:
        predictor = ControlledPredictor()
        predictor.error = error
        predictor.permit()
        assert await predictor.send(1) == Failure(reason)

    asyncio.run(asyncio.wait_for(body(), WHOLE_TEST_TIMEOUT_S))


@run
async def test_a_shared_call_carries_the_ids_of_its_requests(predictor: ControlledPredictor) -> None:
    requests = []
    for number in range(10):
        begin_request(f"id{number}")
        requests.append(predictor.send(number))
        await asyncio.sleep(0)
    predictor.permit(2)
    await asyncio.gather(*requests)
    assert request_id() == "id9"
    assert predictor.request_ids == ["id0", ",".join(f"id{number}" for number in range(1, 9))]


@run
async def test_images_that_cannot_be_joined_are_a_failure_and_the_next_request_goes_on(
    predictor: ControlledPredictor,
) -> None:
    first = await predictor.start_call()
    shapes = [(1, 1), (1, 2)]
    loop = asyncio.get_running_loop()
    others = [loop.create_task(predictor.batcher.predict(np.zeros(shape, np.uint8))) for shape in shapes]
    await asyncio.sleep(0)
    predictor.permit()
    await first
    assert all([isinstance(await other, Failure) for other in others])
    predictor.permit()
    assert numbers_of(await predictor.send(3)) == [3]
    assert predictor.batcher.is_idle


@run
async def test_the_ids_of_a_shared_call_fit_into_a_header(predictor: ControlledPredictor) -> None:
    requests = []
    for number in range(4):
        begin_request(",".join([f"{number}" * 128] * 64))
        requests.append(predictor.send(number))
        await asyncio.sleep(0)
    predictor.permit(2)
    await asyncio.gather(*requests)
    assert len(predictor.request_ids[1]) <= 1024
