"""Jobs survive killed workers and a Redis that refuses writes, and are performed once. Redis and workers are real."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from shared.jobs.executions import ExecutionKey, read_status
from shared.jobs.job_queue import FUNCTION, JobQueue, queue_of
from shared.jobs.kinds import DELETION
from shared.jobs.payloads import DeletionJob
from shared.jobs.results import RunState
from shared.jobs.run_state import QUEUED
from shared.jobs.signing import sign, signing_key
from shared.settings import Settings
from tests.polling import wait_until

StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(redis: Redis, settings: Settings) -> Iterator[StartWorker]:
    """Yield a function that starts a worker of the queue `toy` and waits until it is registered."""
    workers: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        registered = redis.scard("rq:workers:toy")
        environ = {"TANDEM_REDIS_URL": settings.redis_url, "TANDEM_STATE_DIR": str(settings.state_dir)}
        command = [sys.executable, "-m", "tests.unit.jobs.toy_worker", *arguments]
        workers.append(subprocess.Popen(command, env={**os.environ, **environ, "TANDEM_KEEP_DAYS": "1"}))
        wait_until(lambda: redis.scard("rq:workers:toy") > registered, message="the worker did not start")
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


def submit(redis: Redis, settings: Settings) -> str:
    """Submit a job to the queue `toy`, and return its id."""
    queue = JobQueue(redis, settings, signing_key(settings.key_file))
    identity = queue.submit(DELETION, DeletionJob(name="m", model_version=1), {"toy": RunState(status=QUEUED)})
    return f"deletion-{identity}-toy"


def status_of(redis: Redis, job_id: str) -> str | None:
    return read_status(redis, ExecutionKey(job_id))


def count_performed(settings: Settings) -> int:
    file = settings.state_dir / "performed"
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for_end(redis: Redis, job_id: str, status: str = "succeeded") -> None:
    wait_until(lambda: status_of(redis, job_id) == status, message=f"the run is not {status}")
    wait_until(lambda: not redis.exists(f"rq:job:{job_id}"), message="RQ's job is still there")


def hold(settings: Settings) -> Path:
    """Have jobs wait until the returned file is removed."""
    file = settings.state_dir / "hold"
    file.touch()
    return file


def test_a_job_of_a_killed_worker_is_performed_by_a_worker_that_waits(
    redis: Redis, settings: Settings, start_worker: StartWorker
) -> None:
    held = hold(settings)
    first = start_worker()
    job_id = submit(redis, settings)
    wait_until(lambda: count_performed(settings) == 1, message="the job was not started")
    start_worker()
    first.kill()  # its work horse ends with it
    wait_until(lambda: count_performed(settings) == 2, message="the job was not started again")
    held.unlink()
    wait_for_end(redis, job_id)
    assert redis.scard("rq:workers:toy") == 1


def test_a_stopped_worker_gives_its_job_back_and_is_no_longer_listed(
    redis: Redis, settings: Settings, start_worker: StartWorker
) -> None:
    held = hold(settings)
    worker = start_worker()
    job_id = submit(redis, settings)
    wait_until(lambda: count_performed(settings) == 1, message="the job was not started")
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    assert redis.lrange("rq:queue:toy", 0, -1) == [job_id.encode()]
    assert redis.keys("rq:worker*") == []
    held.unlink()
    start_worker()
    wait_for_end(redis, job_id)


def test_a_worker_that_is_stopped_while_it_forks_gives_its_job_back(
    redis: Redis, settings: Settings, start_worker: StartWorker
) -> None:
    hold(settings)
    worker = start_worker("stopped-while-forking")
    job_id = submit(redis, settings)
    assert worker.wait(timeout=60) == 0
    assert redis.lrange("rq:queue:toy", 0, -1) == [job_id.encode()]
    assert redis.zcard("rq:wip:toy") == 0


def test_a_job_goes_on_after_redis_refused_writes(redis: Redis, settings: Settings, start_worker: StartWorker) -> None:
    held = hold(settings)
    worker = start_worker()
    job_id = submit(redis, settings)
    wait_until(lambda: count_performed(settings) == 1, message="the job was not started")
    refused = int(redis.info("errorstats").get("errorstat_OOM", {}).get("count", 0))
    redis.config_set("maxmemory", 1)
    try:
        wait_until(
            lambda: int(redis.info("errorstats")["errorstat_OOM"]["count"]) > refused + 20,
            message="no write was refused",
        )
    finally:
        redis.config_set("maxmemory", 0)
    held.unlink()
    wait_for_end(redis, job_id)
    assert count_performed(settings) == 1
    assert worker.poll() is None


def test_a_job_that_has_ended_is_not_performed_again_although_its_run_was_reset(
    redis: Redis, settings: Settings, start_worker: StartWorker
) -> None:
    job_id = submit(redis, settings)
    stored, run_key = redis.hgetall(f"rq:job:{job_id}"), ExecutionKey(job_id).run_key
    run = redis.hgetall(run_key)
    start_worker()
    wait_for_end(redis, job_id)
    redis.delete(run_key)
    redis.hset(run_key, mapping=run)
    redis.hset(f"rq:job:{job_id}", mapping=stored)
    redis.rpush("rq:queue:toy", job_id)
    wait_for_end(redis, job_id)
    assert count_performed(settings) == 1


def test_a_signed_job_that_is_too_old_is_refused(redis: Redis, settings: Settings, start_worker: StartWorker) -> None:
    created = datetime.now(UTC) - timedelta(days=1, seconds=1)
    job = DeletionJob(
        kind="deletion", id="0" * 32, backend="toy", created_at=created.isoformat(), name="m", model_version=1
    )
    payload = json.dumps(job.model_dump(mode="json"))
    job_id = f"deletion-{job.id}-toy"
    redis.hset(ExecutionKey(job_id).run_key, "status", '"queued"')
    arguments = (payload, sign(payload, signing_key(settings.key_file)))
    queue_of("toy", redis).enqueue_call(FUNCTION, arguments, job_id=job_id)
    start_worker()
    wait_for_end(redis, job_id, "failed")
    assert b"more than 1 days ago" in redis.hget(ExecutionKey(job_id).run_key, "error")
    assert count_performed(settings) == 0


def test_a_worker_drops_a_job_that_cannot_be_read_and_goes_on(
    redis: Redis, settings: Settings, start_worker: StartWorker
) -> None:
    damaged, whole = submit(redis, settings), submit(redis, settings)
    redis.hset(f"rq:job:{damaged}", mapping={"timeout": "soon", "created_at": "yesterday"})
    redis.lpush("rq:queue:toy", "no job at all")
    worker = start_worker()
    wait_for_end(redis, whole)
    assert status_of(redis, damaged) == "failed"
    assert worker.poll() is None


def test_a_worker_whose_job_was_given_away_ends_its_work_horse(
    redis: Redis, settings: Settings, start_worker: StartWorker
) -> None:
    held = hold(settings)
    worker = start_worker()
    job_id = submit(redis, settings)
    wait_until(lambda: count_performed(settings) == 1, message="the job was not started")
    horse = int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text())
    worker.send_signal(signal.SIGSTOP)
    start_worker()
    wait_until(lambda: count_performed(settings) == 2, message="the job was not given to the other worker")
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: not Path(f"/proc/{horse}").exists(), message="the first work horse goes on")
    held.unlink()
    wait_for_end(redis, job_id)
    assert worker.poll() is None
