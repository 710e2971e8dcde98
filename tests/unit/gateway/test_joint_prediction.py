"""A prediction by several backends waits for a backend that hangs only as long as its limits say.

The predictors are real servers on loopback. They answer when the test lets them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.gateway.prediction.dispatcher import Dispatcher
from services.gateway.prediction.model_address import require_all
from services.gateway.prediction.outcomes import Answer, Failure, Outcome
from services.gateway.prediction.triton_statistics import TritonStatistics
from services.stack.stack import free_ports
from shared.errors import UnavailableError
from shared.settings import Settings
from tests.unit.gateway.held_predictor import IMAGES, HeldPredictor

BACKENDS = ("tensorflow", "pytorch")
WHOLE_TEST_TIMEOUT_S = 60
JOINT_TIMEOUT_S = 0.1


class Predictors:
    """Two predictors and a dispatcher that sends to them."""

    def __init__(self, folder: Path, timeout_s: float = 30) -> None:
        self.tensorflow, self.pytorch = HeldPredictor(), HeldPredictor()
        self.ports = free_ports(2)
        environ = {
            "TANDEM_STATE_DIR": str(folder),
            "TANDEM_PREDICTOR_PORT": str(self.ports[0]),
            "TANDEM_JOINT_TIMEOUT_S": str(JOINT_TIMEOUT_S),
            "TANDEM_PREDICTION_TIMEOUT_S": str(timeout_s),
        }
        self.dispatcher = Dispatcher(Settings.from_env(environ))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        servers = [
            await asyncio.start_server(predictor.serve, "127.0.0.1", port)
            for predictor, port in zip((self.tensorflow, self.pytorch), self.ports, strict=True)
        ]
        try:
            yield
        finally:
            self.tensorflow.is_permitted.set()
            self.pytorch.is_permitted.set()
            await self.wait_until_idle()
            self.dispatcher.close()
            for server in servers:
                server.close()
            while self.tensorflow.open_connections or self.pytorch.open_connections:
                await asyncio.sleep(0.01)

    async def predict(self, *, wait_for_all: bool = True) -> dict[str, Outcome]:
        return await self.dispatcher.predict(BACKENDS, "m", 1, IMAGES, wait_for_all=wait_for_all)

    async def wait_until_idle(self) -> None:
        while self.dispatcher._batchers:
            await asyncio.sleep(0.01)


def run(folder: Path, test: Callable[[Predictors], Awaitable[None]], timeout_s: float = 30) -> None:
    async def body() -> None:
        predictors = Predictors(folder, timeout_s)
        async with predictors.running():
            await test(predictors)

    asyncio.run(asyncio.wait_for(body(), WHOLE_TEST_TIMEOUT_S))


def reason_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure)
    return outcome.reason


def test_two_healthy_backends_both_answer(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        outcomes = await predictors.predict()
        assert list(outcomes) == list(BACKENDS)
        assert all(isinstance(outcome, Answer) for outcome in outcomes.values())

    run(tmp_path, body)


def test_a_backend_that_hangs_is_left_out_at_the_joint_limit_and_its_connection_stays_usable(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        await predictors.predict()
        predictors.pytorch.is_permitted.clear()
        outcomes = await predictors.predict()
        assert isinstance(outcomes["tensorflow"], Answer)
        assert reason_of(outcomes["pytorch"]) == "pytorch did not answer within 0.1 s"
        predictors.pytorch.is_permitted.set()
        await predictors.wait_until_idle()
        assert isinstance((await predictors.predict())["pytorch"], Answer)
        assert predictors.pytorch.connections == 1

    run(tmp_path, body)


def test_a_backend_whose_call_has_had_no_reply_for_longer_than_the_limit_is_not_waited_for(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.pytorch.is_permitted.clear()
        await predictors.predict()
        hanging = predictors.dispatcher._batcher_of("pytorch", "m", 1)
        while hanging.call_age_s <= JOINT_TIMEOUT_S:  # the call began a moment after its request
            await asyncio.sleep(0.01)
        for _ in range(20):
            outcomes = await predictors.predict()
            assert isinstance(outcomes["tensorflow"], Answer)
            assert "has not replied to a call for" in reason_of(outcomes["pytorch"])
        assert predictors.pytorch.calls == 1
        assert predictors.dispatcher.count_waiting("pytorch")[0] == 0

    run(tmp_path, body)


def test_wait_any_returns_the_first_answer_and_sends_one_call_to_a_backend_that_hangs(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.pytorch.is_permitted.clear()
        for outcomes in await asyncio.gather(*(predictors.predict(wait_for_all=False) for _ in range(50))):
            assert isinstance(outcomes["tensorflow"], Answer)
            assert reason_of(outcomes["pytorch"]) == "pytorch was not waited for (wait=any)"
        assert predictors.pytorch.calls <= 1
        assert predictors.dispatcher.count_waiting("pytorch")[0] == 0

    run(tmp_path, body)


def test_wait_any_does_not_take_a_failure_for_an_answer(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.tensorflow.status = 500
        outcomes = await predictors.predict(wait_for_all=False)
        assert isinstance(outcomes["tensorflow"], Failure)
        assert isinstance(outcomes["pytorch"], Answer)

    run(tmp_path, body)


@pytest.mark.parametrize("wait_for_all", [True, False])
def test_without_an_answer_by_the_joint_limit_the_first_answer_is_awaited(tmp_path: Path, wait_for_all: bool) -> None:
    async def body(predictors: Predictors) -> None:
        loop = asyncio.get_running_loop()
        predictors.tensorflow.is_permitted.clear()
        predictors.pytorch.is_permitted.clear()
        loop.call_later(3 * JOINT_TIMEOUT_S, predictors.tensorflow.is_permitted.set)
        outcomes = await predictors.predict(wait_for_all=wait_for_all)
        assert isinstance(outcomes["tensorflow"], Answer)
        assert isinstance(outcomes["pytorch"], Failure)

    run(tmp_path, body)


def test_a_failed_backend_does_not_shorten_the_wait_for_the_other(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.tensorflow.status = 500
        predictors.pytorch.is_permitted.clear()
        asyncio.get_running_loop().call_later(3 * JOINT_TIMEOUT_S, predictors.pytorch.is_permitted.set)
        assert isinstance((await predictors.predict())["pytorch"], Answer)

    run(tmp_path, body)


def test_without_any_answer_both_fail_at_the_limit_of_a_prediction(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.tensorflow.is_permitted.clear()
        predictors.pytorch.is_permitted.clear()
        outcomes = await predictors.predict()
        assert {reason_of(outcome) for outcome in outcomes.values()} == {
            f"{backend} did not answer within 0.3 s" for backend in BACKENDS
        }

    run(tmp_path, body, timeout_s=0.3)


def test_a_client_that_leaves_withdraws_its_requests(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.tensorflow.is_permitted.clear()
        predictors.pytorch.is_permitted.clear()
        in_call = asyncio.create_task(predictors.predict())
        while not predictors.tensorflow.calls or not predictors.pytorch.calls:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(predictors.predict())
        while not predictors.dispatcher.count_waiting("pytorch")[0]:
            await asyncio.sleep(0.001)
        for task in (in_call, waiting):
            task.cancel()
        await asyncio.wait([in_call, waiting])
        assert in_call.cancelled()
        assert waiting.cancelled()
        assert predictors.dispatcher.count_waiting("pytorch")[0] == 0
        predictors.tensorflow.is_permitted.set()
        predictors.pytorch.is_permitted.set()
        outcomes = await predictors.predict()
        assert all(isinstance(outcome, Answer) for outcome in outcomes.values())

    run(tmp_path, body)


def test_a_protocol_without_partial_answers_names_the_backend_that_hangs(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.pytorch.is_permitted.clear()
        outcomes = await predictors.predict()
        with pytest.raises(UnavailableError, match=r"^pytorch did not answer within 0\.1 s$"):
            require_all(outcomes, 1, TritonStatistics().measure("m", 1))

    run(tmp_path, body)


def test_requests_of_one_backend_alone_wait_on_while_joint_requests_are_withdrawn(tmp_path: Path) -> None:
    async def body(predictors: Predictors) -> None:
        predictors.pytorch.is_permitted.clear()
        alone = [asyncio.create_task(predictors.dispatcher.predict(("pytorch",), "m", 1, IMAGES)) for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(5):
            await predictors.predict(wait_for_all=False)
        assert predictors.dispatcher.count_waiting("pytorch")[0] == 2, "one is in a call, and two wait"
        predictors.pytorch.is_permitted.set()
        for outcomes in await asyncio.gather(*alone):
            assert isinstance(outcomes["pytorch"], Answer)

    run(tmp_path, body)
