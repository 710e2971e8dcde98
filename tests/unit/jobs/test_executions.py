"""A job is in one place at any moment, and dead work is found by observation. The tests use a real Redis."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from shared.jobs import executions
from shared.jobs.ended_jobs import EndedJobs
from shared.jobs.executions import REMOVED, REQUEUED, UNCHANGED, ExecutionKey
from shared.jobs.job_queue import RETRIES, JobQueue
from shared.jobs.kinds import DELETION
from shared.jobs.payloads import DeletionJob
from shared.jobs.reaper import DEAD_AFTER, Reaper
from shared.jobs.results import RunState
from shared.jobs.run_state import QUEUED, Run
from shared.settings import Settings

KEY = b"0" * 32
QUEUE, INTERMEDIATE, WIP = "rq:queue:toy", "rq:queue:toy:intermediate", "rq:wip:toy"


@pytest.fixture
def job_id(redis: Redis, settings: Settings) -> str:
    """Submit a job to the queue `toy`, and return its id."""
    job = DeletionJob(name="m", model_version=1)
    identity = JobQueue(redis, settings, KEY).submit(DELETION, job, {"toy": RunState(status=QUEUED)})
    return f"deletion-{identity}-toy"


@pytest.fixture
def reaper(settings: Settings, tmp_path: Path) -> Reaper:
    """Return a reaper whose thread does not run."""
    return Reaper("toy", settings, EndedJobs(tmp_path / "ended", 1))


def take(redis: Redis) -> None:
    redis.blmove(QUEUE, INTERMEDIATE, 1)


def start(redis: Redis, job_id: str) -> ExecutionKey:
    """Take and claim the job, and start its run, as a worker does."""
    take(redis)
    key = executions.claim(redis, "toy", job_id, "toy.w")
    assert key
    _, identity, _ = job_id.split("-")
    assert Run(redis, "deletion", identity, "toy").start()
    return key


def status_of(redis: Redis, job_id: str) -> str | None:
    return executions.read_status(redis, ExecutionKey(job_id))


def observe(reaper: Reaper, times: int) -> None:
    for _ in range(times):
        reaper.observe()


def test_a_job_is_claimed_by_one_worker_only(redis: Redis, job_id: str) -> None:
    take(redis)
    first, second = (executions.claim(redis, "toy", job_id, worker) for worker in ("toy.a", "toy.b"))
    assert first
    assert second is None
    assert redis.llen(INTERMEDIATE) == 0
    assert redis.zrange(WIP, 0, -1) == [first.member.encode()]


def test_a_job_that_was_queued_again_cannot_be_claimed_by_the_worker_that_was_too_slow(
    redis: Redis, job_id: str
) -> None:
    take(redis)
    assert executions.requeue(redis, "toy", ExecutionKey(job_id), "lost") == REQUEUED
    assert executions.claim(redis, "toy", job_id, "toy.slow") is None
    assert redis.lrange(QUEUE, 0, -1) == [job_id.encode()]


def test_of_several_processes_one_queues_a_dead_job_again(redis: Redis, job_id: str) -> None:
    key = start(redis, job_id)
    heartbeat = redis.hget(key.redis_key, "last_heartbeat").decode()
    moves = [executions.requeue(redis, "toy", key, "died", heartbeat=heartbeat) for _ in range(3)]
    assert moves == [REQUEUED, UNCHANGED, UNCHANGED]
    assert redis.lrange(QUEUE, 0, -1) == [job_id.encode()]
    assert status_of(redis, job_id) == "queued"
    assert not executions.beat(redis, "toy", key), "the worker that was alive after all learns that its job is gone"


def test_a_job_whose_heartbeat_has_changed_in_the_meantime_is_left_alone(redis: Redis, job_id: str) -> None:
    key = start(redis, job_id)
    heartbeat = redis.hget(key.redis_key, "last_heartbeat").decode()
    assert executions.beat(redis, "toy", key)
    assert executions.requeue(redis, "toy", key, "died", heartbeat=heartbeat) == UNCHANGED
    assert status_of(redis, job_id) == "running"


def test_a_job_that_always_dies_fails_after_its_retries_and_leaves_nothing_of_rq(redis: Redis, job_id: str) -> None:
    moves = [executions.requeue(redis, "toy", start(redis, job_id), "died") for _ in range(RETRIES + 1)]
    assert moves == [REQUEUED] * RETRIES + [REMOVED]
    assert status_of(redis, job_id) == "failed"
    assert redis.keys("rq:*") == [b"rq:queues"]
    assert redis.hlen("tandem:running") == 1, "only the number of the newest start is left"


def test_a_job_that_was_stopped_with_its_worker_loses_no_retry(redis: Redis, job_id: str) -> None:
    for _ in range(RETRIES + 2):
        assert executions.requeue(redis, "toy", start(redis, job_id), "died", is_free=True) == REQUEUED


def test_after_a_job_has_ended_nothing_of_rq_is_left(redis: Redis, job_id: str) -> None:
    key = start(redis, job_id)
    assert executions.end(redis, "toy", key) == REMOVED
    assert redis.keys("rq:*") == [b"rq:queues"]


def test_a_cancelled_run_is_not_queued_again(redis: Redis, job_id: str) -> None:
    key = start(redis, job_id)
    _, identity, _ = job_id.split("-")
    Run(redis, "deletion", identity, "toy").cancel()
    assert executions.requeue(redis, "toy", key, "died") == REMOVED
    assert status_of(redis, job_id) == "cancelled"


def test_a_reaper_queues_a_job_without_heartbeats_again(redis: Redis, reaper: Reaper, job_id: str) -> None:
    start(redis, job_id)
    observe(reaper, DEAD_AFTER - 1)
    assert status_of(redis, job_id) == "running"
    reaper.observe()
    assert redis.lrange(QUEUE, 0, -1) == [job_id.encode()]


def test_a_reaper_leaves_a_job_with_heartbeats_alone(redis: Redis, reaper: Reaper, job_id: str) -> None:
    key = start(redis, job_id)
    for _ in range(3 * DEAD_AFTER):
        executions.beat(redis, "toy", key)
        reaper.observe()
    assert status_of(redis, job_id) == "running"


def test_a_reaper_queues_a_job_again_that_nobody_claimed(redis: Redis, reaper: Reaper, job_id: str) -> None:
    redis.set("rq:clean_registries:toy", 1)  # a lock of RQ that a killed worker left behind
    take(redis)
    observe(reaper, DEAD_AFTER)
    assert redis.lrange(QUEUE, 0, -1) == [job_id.encode()]


def test_observations_begin_anew_after_redis_refused_a_write(redis: Redis, reaper: Reaper, job_id: str) -> None:
    start(redis, job_id)
    observe(reaper, DEAD_AFTER - 1)
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisError):
            reaper.observe()
    finally:
        redis.config_set("maxmemory", 0)
    reaper._observed.clear()  # its thread does this after an error
    observe(reaper, DEAD_AFTER - 1)
    assert status_of(redis, job_id) == "running"


def test_a_job_that_a_reaper_fails_is_marked_as_ended(redis: Redis, reaper: Reaper, job_id: str) -> None:
    for _ in range(RETRIES + 1):
        start(redis, job_id)
        observe(reaper, DEAD_AFTER)
    assert status_of(redis, job_id) == "failed"
    assert reaper.ended.find(job_id) == "failed"


def test_a_reaper_removes_workers_that_are_gone(redis: Redis, reaper: Reaper) -> None:
    for key in ("rq:workers", "rq:workers:toy"):
        redis.sadd(key, "rq:worker:toy.gone", "rq:worker:toy.alive")
    redis.hset("rq:worker:toy.alive", "pid", 1)
    reaper.observe()
    assert redis.smembers("rq:workers") == redis.smembers("rq:workers:toy") == {b"rq:worker:toy.alive"}


@pytest.mark.parametrize("place", ["intermediate", "wip"])
def test_an_entry_that_is_not_a_job_of_ours_is_removed(redis: Redis, reaper: Reaper, place: str) -> None:
    put: dict[str, Callable[[], object]] = {
        "intermediate": lambda: redis.rpush(INTERMEDIATE, "../planted"),
        "wip": lambda: redis.zadd(WIP, {"planted:1": 1}),
    }
    put[place]()
    observe(reaper, DEAD_AFTER)
    assert redis.keys() == []
