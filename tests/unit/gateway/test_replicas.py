"""Several predictors of a backend: calls are balanced, and a call whose connection fails is sent to another predictor.

The predictors are real servers on loopback addresses. They answer when the test lets them.
"""

import asyncio
from pathlib import Path

from services.gateway.prediction.outcomes import Answer, Failure
from tests.unit.gateway.running_replicas import HOSTS, RunningReplicas, run


def test_requests_one_after_the_other_take_turns(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        for _ in range(6):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.calls() == [3, 3]

    run(RunningReplicas(tmp_path), body)


def test_each_predictor_has_at_most_one_call_of_a_model_in_flight_and_the_rest_share_the_next(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
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

    run(RunningReplicas(tmp_path), body)


def test_a_model_goes_to_the_predictor_that_computes_no_other_model(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        replicas.predictors[HOSTS[0]].is_permitted.clear()
        slow = asyncio.create_task(replicas.predict())
        while not replicas.predictors[HOSTS[0]].calls:
            await asyncio.sleep(0.01)
        for version in range(2, 8):
            assert isinstance(await replicas.predict(version), Answer)
        assert replicas.calls() == [1, 6]
        replicas.predictors[HOSTS[0]].is_permitted.set()
        assert isinstance(await slow, Answer)

    run(RunningReplicas(tmp_path), body)


def test_a_call_in_flight_goes_to_the_other_predictor_when_its_own_ends(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        replicas.predictors[HOSTS[0]].is_permitted.clear()
        first = asyncio.create_task(replicas.predict())
        while not replicas.predictors[HOSTS[0]].calls:
            await asyncio.sleep(0.01)
        await replicas.stop(HOSTS[0])
        assert isinstance(await first, Answer)
        assert replicas.dispatcher.count_predictors("toy") == (1, 1)
        for _ in range(5):
            assert isinstance(await replicas.predict(), Answer)

    run(RunningReplicas(tmp_path), body)


def test_a_predictor_that_answers_its_health_check_again_gets_calls_again(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
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

    run(RunningReplicas(tmp_path), body)


def test_a_predictor_that_hangs_is_dropped_and_its_call_is_sent_to_the_other(tmp_path: Path) -> None:
    """The call's own time limit is ten seconds; the health check notices the predictor before."""

    async def body(replicas: RunningReplicas) -> None:
        replicas.predictors[HOSTS[0]].is_permitted.clear()
        first, second = await asyncio.gather(replicas.predict(), replicas.predict())
        assert isinstance(first, Answer)
        assert isinstance(second, Answer)
        assert replicas.dispatcher.count_predictors("toy") == (1, 1)

    run(RunningReplicas(tmp_path), body)


def test_only_when_no_predictor_answers_a_request_fails_and_a_single_one_is_always_asked(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        for host in replicas.predictors:
            await replicas.stop(host)
        outcome = await replicas.predict()
        assert outcome == Failure("toy's predictor does not answer")
        assert replicas.dispatcher._batchers == {}
        replicas.predictors[HOSTS[0]].is_permitted.set()
        await replicas.listen(HOSTS[0])
        assert isinstance(await replicas.predict(), Answer), "without waiting for a health check"

    run(RunningReplicas(tmp_path), body)
