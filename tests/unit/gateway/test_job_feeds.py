"""Feeds of jobs with a real Redis: one reader per job, and what happens while Redis is down."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from werkzeug.exceptions import TooManyRequests

from services.gateway.feeds import job_feeds
from services.gateway.feeds.job_feeds import JobFeeds, JobState, Watch
from services.gateway.schemas.trainings import Training
from services.stack.redis_server import find_redis_server
from services.stack.stack import free_ports
from shared.errors import NotFoundError, UnavailableError
from shared.jobs.connection import connect
from shared.jobs.job_queue import JobQueue
from shared.jobs.kinds import TRAINING
from shared.jobs.payloads import TrainingJob, TrainingRequest
from shared.jobs.results import Epoch, TrainingRun
from shared.jobs.run_state import OPEN, QUEUED, SUCCEEDED, Run
from shared.network.description import Network
from shared.network.layers import Dense, Flatten
from shared.settings import Settings
from tests.polling import wait_until

NETWORK = Network(input_shape=(8, 8, 1), layers=(Flatten(), Dense(units=10)))
WATCHERS = 10
TIMEOUT_S = 60


class OwnRedis:
    """A Redis server that a test may kill and start again. It keeps its data."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        self._options += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self.start()

    def start(self) -> None:
        self._server = subprocess.Popen([find_redis_server(), *self._options], stdout=subprocess.DEVNULL)
        with Redis(port=self.port) as connection:
            wait_until(connection.ping, message="Redis did not start")

    def kill(self) -> None:
        self._server.kill()
        self._server.wait()

    def count_listeners(self) -> int:
        """Return how many connections wait for changes."""
        with Redis(port=self.port) as connection:
            return sum(client["cmd"] == "xread" for client in connection.client_list())


def run_with_feeds(settings: Settings, use: Callable[[JobFeeds], Awaitable[None]]) -> None:
    """Run a test's function on an event loop, with feeds that are closed at its end."""

    async def run() -> None:
        feeds = JobFeeds(settings)
        try:
            await use(feeds)
        finally:
            await feeds.close()

    asyncio.run(run())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    own = OwnRedis(tmp_path)
    yield own
    own.kill()


@pytest.fixture
def settings(server: OwnRedis, tmp_path: Path) -> Settings:
    environ = {"TANDEM_REDIS_URL": f"redis://127.0.0.1:{server.port}/0", "TANDEM_STATE_DIR": str(tmp_path)}
    return Settings.from_env({**environ, "TANDEM_BACKENDS": "toy"})


class WatchedTraining:
    """A training, its run, and a counted reader of its state."""

    def __init__(self, settings: Settings) -> None:
        self.jobs = JobQueue(connect(settings, patient=False), settings, b"key")
        job = TrainingJob(name="m", request=TrainingRequest(dataset="digits"), network=NETWORK)
        run = TrainingRun(status=QUEUED, epoch=0, epochs=3, history=[])
        self.identity = self.jobs.submit(TRAINING, job, {"toy": run}, newest_published=0)
        self.run = Run(connect(settings, patient=True), "training", self.identity, "toy", TrainingRun)
        self.reads = 0

    def read(self) -> JobState:
        self.reads += 1
        record = self.jobs.read(TRAINING, self.identity)
        return JobState.of(Training.of(record).model_dump_json().encode(), record.status not in OPEN)

    def watch(self, feeds: JobFeeds, client: str = "somebody") -> "asyncio.Future[Watch]":
        return asyncio.ensure_future(feeds.watch("training", self.identity, self.read, client))

    async def report_epoch(self, number: int) -> None:
        epoch = Epoch(epoch=number, loss=1, accuracy=0, test_loss=1, test_accuracy=0, seconds=1)
        await asyncio.to_thread(self.run.report_epoch, epoch)


def epoch_of(state: JobState) -> int:
    return Training.model_validate_json(state.body).runs["toy"].epoch


async def collect(watch: Watch) -> list[JobState]:
    try:
        return [state async for state in watch.follow() if state]
    finally:
        watch.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():
            await asyncio.sleep(0.01)


def test_ten_watchers_share_one_reader_and_see_the_states_in_order(server: OwnRedis, settings: Settings) -> None:
    async def follow_training(feeds: JobFeeds) -> None:
        training = WatchedTraining(settings)
        watches = await asyncio.gather(*(training.watch(feeds) for _ in range(WATCHERS)))
        assert training.reads == 1
        watchers = [asyncio.create_task(collect(watch)) for watch in watches]
        await until(lambda: server.count_listeners() == 1)
        await asyncio.to_thread(training.run.start)
        for number in (1, 2, 3):
            await training.report_epoch(number)
        await asyncio.to_thread(training.run.finish, SUCCEEDED)
        async with asyncio.timeout(TIMEOUT_S):
            found = await asyncio.gather(*watchers)
        for states in found:
            epochs = [epoch_of(state) for state in states]
            assert epochs == sorted(epochs)
            assert epochs[-1] == 3
            assert [state.has_ended for state in states] == [*([False] * (len(states) - 1)), True]
        states_of_all = {id(state) for states in found for state in states}
        assert len(states_of_all) <= training.reads < WATCHERS, "each state is read and rendered once for all"
        await until(lambda: server.count_listeners() == 0)

    run_with_feeds(settings, follow_training)


def test_a_change_wakes_the_reader_without_waiting_for_the_next_read(
    settings: Settings, server: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_feeds, "REREAD_S", 1000)

    async def follow_training(feeds: JobFeeds) -> None:
        training = WatchedTraining(settings)
        watcher = asyncio.create_task(collect(await training.watch(feeds)))
        await until(lambda: server.count_listeners() == 1)
        await asyncio.to_thread(training.jobs.cancel, TRAINING, training.identity)
        async with asyncio.timeout(TIMEOUT_S):
            assert (await watcher)[-1].has_ended

    run_with_feeds(settings, follow_training)


def test_a_restart_of_redis_delays_the_states_and_loses_none(settings: Settings, server: OwnRedis) -> None:
    async def follow_training(feeds: JobFeeds) -> None:
        training = WatchedTraining(settings)
        await asyncio.to_thread(training.run.start)
        watch = await training.watch(feeds)
        watcher = asyncio.create_task(collect(watch))
        await asyncio.to_thread(server.kill)
        with pytest.raises(RedisConnectionError):
            await feeds.watch("training", "0" * 32, lambda: training.jobs.read(TRAINING, "0" * 32), "late")
        assert not watcher.done()
        await asyncio.to_thread(server.start)
        await training.report_epoch(1)
        await asyncio.to_thread(training.run.finish, SUCCEEDED)
        async with asyncio.timeout(TIMEOUT_S):
            last = (await watcher)[-1]
        assert (last.has_ended, epoch_of(last)) == (True, 1)

    run_with_feeds(settings, follow_training)


def test_an_ended_job_has_one_state_and_an_unknown_one_is_not_found(settings: Settings) -> None:
    async def follow_training(feeds: JobFeeds) -> None:
        training = WatchedTraining(settings)
        training.jobs.cancel(TRAINING, training.identity)
        (state,) = await collect(await training.watch(feeds))
        assert state.has_ended
        with pytest.raises(NotFoundError):
            await feeds.watch("training", "0" * 32, lambda: training.jobs.read(TRAINING, "0" * 32), "somebody")

    run_with_feeds(settings, follow_training)


def test_too_many_watchers_are_refused_until_one_leaves(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_feeds, "MAX_WATCHERS_PER_CLIENT", 1)
    monkeypatch.setattr(job_feeds, "MAX_WATCHERS", 2)

    async def follow_training(feeds: JobFeeds) -> None:
        training = WatchedTraining(settings)
        watch = await training.watch(feeds, "one")
        with pytest.raises(TooManyRequests):
            await training.watch(feeds, "one")
        await training.watch(feeds, "two")
        with pytest.raises(UnavailableError):
            await training.watch(feeds, "three")
        watch.close()
        watch.close()
        await training.watch(feeds, "three")

    run_with_feeds(settings, follow_training)
