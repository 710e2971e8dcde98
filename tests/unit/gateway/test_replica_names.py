"""The predictors of a backend are the addresses of a name, whatever the name server does."""

import asyncio
from pathlib import Path

from services.gateway.prediction.outcomes import Answer
from tests.unit.gateway.running_replicas import HOSTS, RunningReplicas, run
from tests.unit.names import Names

NAME = "predictor.test"


def test_the_addresses_of_a_name_get_calls_as_they_come_and_go(tmp_path: Path, names: Names) -> None:
    """One address, then two, then the other one. Names that cannot be looked up keep their predictors."""
    one, two = HOSTS[:2]
    names.addresses[NAME] = [one]

    async def body(replicas: RunningReplicas) -> None:
        await replicas.predict()
        assert replicas.calls() == [1, 0]
        names.addresses[NAME] = [one, two]
        await replicas.wait_for_count(2)
        computing = replicas.predictors[one]
        computing.holds_health = False
        computing.is_permitted.clear()
        sent = [asyncio.create_task(replicas.predict(version)) for version in (1, 2)]
        while replicas.calls() != [2, 1]:
            await asyncio.sleep(0.01)
        names.addresses[NAME] = [two]
        await replicas.wait_for_count(1)
        for _ in range(3):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.calls() == [2, 4]
        computing.is_permitted.set()
        for outcome in await asyncio.gather(*sent):
            assert isinstance(outcome, Answer), "the call to the predictor that has left goes on"
        assert replicas.calls() == [2, 4]

    run(RunningReplicas(tmp_path, name=NAME), body)


def test_a_name_that_is_unknown_for_a_while_keeps_its_predictors(tmp_path: Path, names: Names) -> None:
    names.addresses[NAME] = list(HOSTS[:2])

    async def body(replicas: RunningReplicas) -> None:
        await replicas.wait_for_count(2)
        names.addresses[NAME] = []
        names.is_asked.clear()
        while not names.is_asked.is_set():
            await asyncio.sleep(0.01)
        for _ in range(2):
            assert isinstance(await replicas.predict(), Answer)
        assert replicas.calls() == [1, 1]

    run(RunningReplicas(tmp_path, name=NAME), body)


def test_an_address_whose_predictor_does_not_answer_yet_gets_no_calls(tmp_path: Path, names: Names) -> None:
    names.addresses[NAME] = list(HOSTS[:2])

    async def body(replicas: RunningReplicas) -> None:
        await replicas.stop(HOSTS[1])
        await replicas.wait_for_count(1, 1)
        for _ in range(3):
            assert isinstance(await replicas.predict(), Answer)
        await replicas.listen(HOSTS[1])
        await replicas.wait_for_count(2)
        assert replicas.calls() == [3, 0]

    run(RunningReplicas(tmp_path, name=NAME), body)


def test_a_predictor_that_hangs_is_noticed_while_the_name_server_does_not_answer(tmp_path: Path, names: Names) -> None:
    names.addresses[NAME] = list(HOSTS[:2])

    async def body(replicas: RunningReplicas) -> None:
        await replicas.wait_for_count(2)
        names.is_asked.clear()
        names.is_answering.clear()
        try:
            while not names.is_asked.is_set():
                await asyncio.sleep(0.01)
            hanging = replicas.predictors[HOSTS[0]]
            hanging.is_permitted.clear()
            outcomes = await asyncio.gather(replicas.predict(), replicas.predict())
            assert all(isinstance(outcome, Answer) for outcome in outcomes)
            hanging.is_permitted.set()
            await replicas.wait_for_count(2)
            assert not names.is_answering.is_set()
        finally:
            names.is_answering.set()

    run(RunningReplicas(tmp_path, name=NAME), body)
