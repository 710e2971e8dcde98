"""Calls of jobs to several predictors: one that hangs, dies or has an unknown name costs nothing but its own reply."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest

from services.stack.stack import free_ports
from shared.serving.blocking_calls import ask_all_predictors, ask_any_predictor
from shared.serving.client import ConnectionFailedError, Reply
from tests.unit.gateway.held_predictor import IMAGES, HeldPredictor
from tests.unit.names import Names

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
LONG_S = 300.0  # more than the whole test may take
WHOLE_TEST_TIMEOUT_S = 60
UNKNOWN = "no-such-host.test"


class Predictors:
    """Predictors on loopback addresses."""

    def __init__(self, count: int) -> None:
        (self._port,) = free_ports(1)
        self.running = [HeldPredictor() for _ in range(count)]
        self.servers: list[asyncio.Server] = []

    def urls(self, *more: str) -> list[str]:
        hosts = (*HOSTS[: len(self.running)], *more)
        return [f"http://{host}:{self._port}" for host in hosts]

    async def listen(self) -> None:
        for host, predictor in zip(HOSTS, self.running, strict=False):
            self.servers.append(await asyncio.start_server(predictor.serve, host, self._port))

    def kill(self, number: int) -> None:
        self.servers[number].close()
        self.running[number].abort_connections()

    async def ask_any(self, urls: Sequence[str], timeout_s: float = LONG_S) -> Reply:
        return await asyncio.to_thread(ask_any_predictor, urls, "/predict/m/1", IMAGES.tobytes(), timeout_s)

    async def ask_all(self, urls: Sequence[str], timeout_s: float = LONG_S) -> list[Reply]:
        return await asyncio.to_thread(ask_all_predictors, urls, "/predict/m/1", IMAGES.tobytes(), timeout_s)

    def calls(self) -> list[int]:
        return [predictor.calls for predictor in self.running]


def run(predictors: Predictors, test: Callable[[Predictors], Awaitable[None]]) -> None:
    async def body() -> None:
        await predictors.listen()
        try:
            await asyncio.wait_for(test(predictors), WHOLE_TEST_TIMEOUT_S)
        finally:
            for server, predictor in zip(predictors.servers, predictors.running, strict=True):
                server.close()
                await predictor.close_connections()

    asyncio.run(body())


def test_a_predictor_that_hangs_is_not_asked_if_another_one_answers_its_health_check() -> None:
    async def body(predictors: Predictors) -> None:
        predictors.running[0].is_permitted.clear()
        assert (await predictors.ask_any(predictors.urls())).status == 200
        assert [reply.status for reply in await predictors.ask_all(predictors.urls())] == [200]
        assert predictors.calls() == [0, 2]

    run(Predictors(2), body)


def test_when_a_predictor_does_not_reply_in_time_the_next_one_is_asked() -> None:
    async def body(predictors: Predictors) -> None:
        predictors.running[0].holds_health = False
        predictors.running[0].is_permitted.clear()
        assert (await predictors.ask_any(predictors.urls(), timeout_s=0.5)).status == 200
        assert predictors.calls() == [1, 1]

    run(Predictors(2), body)


def test_a_name_that_is_unknown_prevents_no_call_to_the_other_predictors(names: Names) -> None:
    names.addresses[UNKNOWN] = []

    async def body(predictors: Predictors) -> None:
        assert (await predictors.ask_any(predictors.urls(UNKNOWN))).status == 200
        assert [reply.status for reply in await predictors.ask_all(predictors.urls(UNKNOWN))] == [200]
        for ask in (predictors.ask_any, predictors.ask_all):
            with pytest.raises(ConnectionFailedError, match="not known"):
                await ask([f"http://{UNKNOWN}:1"])

    run(Predictors(1), body)


def test_a_predictor_that_does_not_answer_is_the_error_if_there_is_no_other() -> None:
    """Those that do not answer their health check are asked as well, because none does."""

    async def body(predictors: Predictors) -> None:
        predictors.running[0].is_permitted.clear()
        for ask in (predictors.ask_any, predictors.ask_all):
            with pytest.raises(TimeoutError):
                await ask(predictors.urls(), timeout_s=0.2)
            with pytest.raises((TimeoutError, ConnectionFailedError)):
                await ask(predictors.urls("127.0.0.9"), timeout_s=0.2)
        assert predictors.calls() == [4]

    run(Predictors(1), body)


def test_a_request_that_ends_predictors_ends_two_at_most() -> None:
    async def body(predictors: Predictors) -> None:
        for number, predictor in enumerate(predictors.running):
            predictor.on_call = partial(predictors.kill, number)
        with pytest.raises(ConnectionFailedError):
            await predictors.ask_any(predictors.urls())
        assert predictors.calls() == [1, 1, 0]

    run(Predictors(3), body)
