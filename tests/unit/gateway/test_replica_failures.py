"""Which failures of a predictor have another one asked, and what the counts of predictors say meanwhile."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from services.gateway.prediction.outcomes import Answer, Failure
from services.gateway.prediction.replicas import Replicas
from tests.unit.gateway.running_replicas import HOSTS, RunningReplicas, run


def test_while_predictors_have_no_room_for_connections_another_one_is_asked(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        for host in HOSTS[:2]:
            replicas.predictors[host].status = 503
        for _ in range(6):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.predictors[HOSTS[2]].calls == 6

    run(RunningReplicas(tmp_path, count=3), body)


def test_when_no_predictor_has_room_each_is_asked_once(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        for predictor in replicas.predictors.values():
            predictor.status = 503
        assert await replicas.predict() == Failure("toy: the predictor answered 503")
        assert replicas.calls() == [1, 1, 1]

    run(RunningReplicas(tmp_path, count=3), body)


def test_a_predictor_that_does_not_know_a_new_model_yet_is_no_failure(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        replicas.predictors[HOSTS[0]].status = 404
        for _ in range(4):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.predictors[HOSTS[1]].calls == 4

    run(RunningReplicas(tmp_path), body)


@pytest.mark.parametrize(("status", "asked"), [(404, 2), (500, 1), (422, 1)])
def test_an_error_that_another_predictor_would_give_as_well_is_final(tmp_path: Path, status: int, asked: int) -> None:
    async def body(replicas: RunningReplicas) -> None:
        for predictor in replicas.predictors.values():
            predictor.status = status
        assert await replicas.predict() == Failure(f"toy: the predictor answered {status}")
        assert sum(replicas.calls()) == asked

    run(RunningReplicas(tmp_path, count=3), body)


def test_a_request_that_ends_predictors_ends_two_at_most(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        await replicas.wait_for_checks()
        for host, predictor in replicas.predictors.items():
            predictor.on_call = partial(replicas.kill, host)
        assert isinstance(await replicas.predict(), Failure)
        assert len(replicas.servers) == 2
        for host in replicas.servers:
            replicas.predictors[host].on_call = lambda: None
        for _ in range(4):
            assert isinstance(await replicas.predict(), Answer)

    run(RunningReplicas(tmp_path, count=4), body)


def test_a_request_is_answered_while_only_one_predictor_listens(tmp_path: Path) -> None:
    """A refused connection is no sign that the request ends predictors."""

    async def body(replicas: RunningReplicas) -> None:
        for host in HOSTS[:3]:
            await replicas.stop(host)
        assert isinstance(await replicas.predict(), Answer)

    run(RunningReplicas(tmp_path, count=4), body)


def test_a_single_predictor_that_nobody_calls_is_counted_as_down_and_up_again(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        await replicas.stop(HOSTS[0])
        await replicas.wait_for_count(0, 1)
        await replicas.listen(HOSTS[0])
        await replicas.wait_for_count(1)
        assert replicas.calls() == [0]

    run(RunningReplicas(tmp_path, count=1), body)


def test_the_counts_are_those_of_the_last_status() -> None:
    async def body() -> None:
        replicas = Replicas(("http://127.0.0.1:1",))
        assert replicas.count() == (1, 0)
        assert [report.process for report in await replicas.ask_health()] == [None]
        assert replicas.count() == (0, 1)

    asyncio.run(body())


def test_the_log_says_why_a_predictor_counts_as_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(replicas: RunningReplicas) -> None:
        replicas.predictors[HOSTS[1]].health_status = 403
        await replicas.wait_for_count(1, 1)

    run(RunningReplicas(tmp_path), body)
    assert "status 403" in capsys.readouterr().out


def test_while_a_predictor_hangs_the_others_are_checked_more_often_than_it(tmp_path: Path) -> None:
    async def body(replicas: RunningReplicas) -> None:
        hanging, other = replicas.predictors.values()
        await replicas.wait_for_checks()
        hanging.is_permitted.clear()
        before, hanging.health_checks = other.health_checks, 0
        while hanging.health_checks < 3:
            await asyncio.sleep(0.01)
        assert other.health_checks - before > hanging.health_checks

    run(RunningReplicas(tmp_path), body)
