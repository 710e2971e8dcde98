"""Several predictors of a backend: calls are balanced, and a call whose connection fails is sent to another predictor.

The predictors are real servers on loopback addresses. They answer when the test lets them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.gateway.prediction.dispatcher import Dispatcher
from services.gateway.prediction.outcomes import Answer, Failure, Outcome
from services.stack.stack import free_ports
from shared.serving.addresses import PredictorAddress, find_addresses
from shared.settings import Settings
from tests.unit.gateway.held_predictor import IMAGES, HeldPredictor

WHOLE_TEST_TIMEOUT_S = 60
HOSTS = ("127.0.0.1", "127.0.0.2")


class TwoReplicas:
    """Two predictors of one backend, and a dispatcher that sends to them."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.predictors = {host: HeldPredictor() for host in HOSTS}
        self.servers: dict[str, asyncio.Server] = {}
        urls = ",".join(f"http://{host}:{self.port}" for host in HOSTS)
        environ = {"TANDEM_STATE_DIR": str(folder), "TANDEM_BACKENDS": "toy", "TANDEM_PREDICTOR_URL": urls}
        self.dispatcher = Dispatcher(Settings.from_env(environ))

    async def listen(self, host: str) -> None:
        self.servers[host] = await asyncio.start_server(self.predictors[host].serve, host, self.port)

    async def stop(self, host: str) -> None:
        """Close a predictor's socket and its connections, as the end of its process does."""
        self.servers.pop(host).close()
        await self.predictors[host].close_connections()

    async def predict(self, version: int = 1) -> Outcome:
        return (await self.dispatcher.predict(("toy",), "m", version, IMAGES))["toy"]

    def calls(self) -> list[int]:
        return [predictor.calls for predictor in self.predictors.values()]

    async def wait_for_count(self, up: int) -> None:
        while self.dispatcher.count_predictors("toy") != (up, 2 - up):
            await asyncio.sleep(0.01)


def run(folder: Path, test: Callable[[TwoReplicas], Awaitable[None]]) -> None:
    async def body() -> None:
        replicas = TwoReplicas(folder)
        for host in HOSTS:
            await replicas.listen(host)
        replicas.dispatcher.start(asyncio.get_running_loop())
        try:
            await test(replicas)
        finally:
            replicas.dispatcher.close()
            for host in list(replicas.servers):
                await replicas.stop(host)

    asyncio.run(asyncio.wait_for(body(), WHOLE_TEST_TIMEOUT_S))


def test_requests_one_after_the_other_take_turns(tmp_path: Path) -> None:
    async def body(replicas: TwoReplicas) -> None:
        for _ in range(6):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.calls() == [3, 3]

    run(tmp_path, body)


def test_each_predictor_has_at_most_one_call_of_a_model_in_flight_and_the_rest_share_the_next(tmp_path: Path) -> None:
    async def body(replicas: TwoReplicas) -> None:
        for predictor in replicas.predictors.values():
            predictor.is_permitted.clear()
        sent = [asyncio.create_task(replicas.predict()) for _ in range(10)]
        while replicas.calls() != [1, 1]:
            await asyncio.sleep(0.01)
        assert replicas.dispatcher.count_waiting("toy")[0] == 8
        replicas.predictors[HOSTS[0]].is_permitted.set()
        while sum(replicas.calls()) < 3:
            await asyncio.sleep(0.01)
        assert replicas.calls() == [2, 1], "the eight that waited share one call to the predictor that is free"
        replicas.predictors[HOSTS[1]].is_permitted.set()
        assert all(isinstance(outcome, Answer) for outcome in await asyncio.gather(*sent))

    run(tmp_path, body)


def test_a_model_goes_to_the_predictor_that_computes_no_other_model(tmp_path: Path) -> None:
    async def body(replicas: TwoReplicas) -> None:
        replicas.predictors[HOSTS[0]].is_permitted.clear()
        slow = asyncio.create_task(replicas.predict())
        while not replicas.predictors[HOSTS[0]].calls:
            await asyncio.sleep(0.01)
        for version in range(2, 8):
            assert isinstance(await replicas.predict(version), Answer)
        assert replicas.calls() == [1, 6]
        replicas.predictors[HOSTS[0]].is_permitted.set()
        assert isinstance(await slow, Answer)

    run(tmp_path, body)


def test_a_call_in_flight_goes_to_the_other_predictor_when_its_own_ends(tmp_path: Path) -> None:
    async def body(replicas: TwoReplicas) -> None:
        replicas.predictors[HOSTS[0]].is_permitted.clear()
        first = asyncio.create_task(replicas.predict())
        while not replicas.predictors[HOSTS[0]].calls:
            await asyncio.sleep(0.01)
        await replicas.stop(HOSTS[0])
        assert isinstance(await first, Answer)
        assert replicas.dispatcher.count_predictors("toy") == (1, 1)
        for _ in range(5):
            assert isinstance(await replicas.predict(), Answer)

    run(tmp_path, body)


def test_a_predictor_that_answers_its_health_check_again_gets_calls_again(tmp_path: Path) -> None:
    async def body(replicas: TwoReplicas) -> None:
        await replicas.stop(HOSTS[1])
        for _ in range(2):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.dispatcher.count_predictors("toy") == (1, 1)
        replicas.predictors[HOSTS[1]].is_permitted.set()
        await replicas.listen(HOSTS[1])
        await replicas.wait_for_count(2)
        before = replicas.predictors[HOSTS[1]].calls
        for _ in range(2):
            await replicas.predict()
        assert replicas.predictors[HOSTS[1]].calls == before + 1

    run(tmp_path, body)


def test_a_predictor_that_hangs_is_dropped_and_its_call_is_sent_to_the_other(tmp_path: Path) -> None:
    """The call's own time limit is ten seconds; the health check notices the predictor before."""

    async def body(replicas: TwoReplicas) -> None:
        replicas.predictors[HOSTS[0]].is_permitted.clear()
        first, second = await asyncio.gather(replicas.predict(), replicas.predict())
        assert isinstance(first, Answer)
        assert isinstance(second, Answer)
        assert replicas.dispatcher.count_predictors("toy") == (1, 1)

    run(tmp_path, body)


def test_only_when_no_predictor_answers_a_request_fails_and_a_single_one_is_always_asked(tmp_path: Path) -> None:
    async def body(replicas: TwoReplicas) -> None:
        for host in HOSTS:
            await replicas.stop(host)
        outcome = await replicas.predict()
        assert outcome == Failure("toy's predictor does not answer")
        assert replicas.dispatcher._batchers == {}
        replicas.predictors[HOSTS[0]].is_permitted.set()
        await replicas.listen(HOSTS[0])
        assert isinstance(await replicas.predict(), Answer), "without waiting for a health check"

    run(tmp_path, body)


def test_the_addresses_of_a_host_are_those_of_its_predictors() -> None:
    """An address or this machine's own name has one predictor. A name that is unknown is an error."""

    async def body() -> None:
        for url in ("http://127.0.0.1:8101", "http://localhost:8101", "http://[::1]:8101"):
            assert await find_addresses(url) == [PredictorAddress(url)]
        try:
            await find_addresses("http://no-such-host.invalid:8101")
        except OSError:
            return
        raise AssertionError("an unknown name was found")

    asyncio.run(body())
    assert str(PredictorAddress("http://p:8101")) == "p:8101"
    assert str(PredictorAddress("http://p:8101", "10.0.0.1")) == "10.0.0.1:8101"
    assert str(PredictorAddress("http://p:8101", "fd00::1")) == "[fd00::1]:8101"
