"""Finds work whose worker died, and puts it back into its queue.

Each worker process has one reaper, a thread that starts before the framework is imported. So a trainer that still
starts, or that waits for a job, looks after the queue already.

The reaper judges by observation only. About every second it reads the heartbeat of every execution, and writes
something that changes nothing. An execution whose heartbeat did not change in five observations in a row is dead. If
Redis does not answer, or refuses the write, no worker can send a heartbeat either, and the observations begin anew. The
clocks of the machines do not matter.
"""

import threading
import time
from dataclasses import dataclass
from typing import cast

import structlog
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from shared.jobs.connection import connect_observer
from shared.jobs.ended_jobs import EndedJobs
from shared.jobs.executions import REMOVED, REQUEUED, ExecutionKey, forget, read_status, requeue
from shared.jobs.run_state import OPEN
from shared.settings import Settings

OBSERVE_EVERY_S = 0.9
DEAD_AFTER = 5  # observations of the same heartbeat: less than 5 s after it
CLEAN_EVERY_S = 3600.0
DIED = "the worker died each time that it performed this job: it may need more memory than there is"
LOST = "the worker died before it could begin this job, again and again"
NEVER = "none"  # the heartbeat of an execution without one

log = structlog.get_logger()


@dataclass(frozen=True)
class _Observed:
    """What is known about an execution: its heartbeat, its worker, and how often the heartbeat was the same."""

    heartbeat: str
    worker: str
    count: int = 1


class Reaper:
    """Looks after one queue in a thread of its own.

    Attributes:
        ended: the marks of ended jobs.
        lock: held while the thread works. A process that is forked meanwhile would inherit locks that nobody releases,
            so the worker takes this lock before it forks.
    """

    def __init__(self, queue: str, settings: Settings, ended: EndedJobs) -> None:
        """Prepare to look after a queue.

        Args:
            queue: the queue's name.
            settings: the address of Redis, and the login.
            ended: where jobs are marked that have ended.
        """
        self.ended = ended
        self.lock = threading.Lock()
        self._queue = queue
        self._redis: Redis = connect_observer(settings)
        self._observed: dict[ExecutionKey, _Observed] = {}
        self._stop = threading.Event()
        self._cleaned_at = 0.0

    def start(self) -> None:
        """Begin to look after the queue. The thread ends with the process, or after `stop`."""
        threading.Thread(target=self._run, name="reaper", daemon=True).start()

    def stop(self) -> None:
        """Have the thread end soon."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(OBSERVE_EVERY_S):
            with self.lock:
                try:
                    self.observe()
                except RedisError as error:
                    self._observed.clear()
                    if isinstance(error, NoPermissionError):  # else the worker logs that Redis does not answer
                        log.exception("the reaper may not do its work")
                except Exception:
                    self._observed.clear()
                    log.exception("the reaper failed")
                if time.monotonic() - self._cleaned_at > CLEAN_EVERY_S:
                    self.ended.remove_old()
                    self._cleaned_at = time.monotonic()

    def observe(self) -> None:
        """Read every heartbeat once, and hand over the work that is dead.

        Raises:
            RedisError: Redis does not answer or refuses writes. Nothing is known then.
        """
        seen = self._read()
        for key, now in seen.items():
            before = self._observed.get(key)
            if before and before.heartbeat == now.heartbeat:
                seen[key] = _Observed(now.heartbeat, now.worker, before.count + 1)
        self._observed = {key: observed for key, observed in seen.items() if observed.count < DEAD_AFTER}
        for key, observed in seen.items():
            if observed.count >= DEAD_AFTER:
                self._hand_over(key, observed)

    def _read(self) -> dict[ExecutionKey, _Observed]:
        """Return the heartbeat of each execution, and forget workers that are gone."""
        queue = self._queue
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zadd(f"rq:wip:{queue}", {"": 0}, xx=True)  # changes nothing, but Redis may refuse it
            pipeline.zrange(f"rq:wip:{queue}", 0, -1)
            pipeline.lrange(f"rq:queue:{queue}:intermediate", 0, -1)
            pipeline.smembers(f"rq:workers:{queue}")
            _, members, waiting, workers = pipeline.execute()
            claimed = [key for key in map(_key_of, members) if key.belongs_to(queue)]
            workers = sorted(cast(set[bytes], workers))
            for key in claimed:
                pipeline.hmget(key.redis_key, "last_heartbeat", "worker_name")
            for worker in workers:
                pipeline.exists(worker)
            replies = pipeline.execute()
        gone = [worker for worker, exists in zip(workers, replies[len(claimed) :], strict=True) if not exists]
        if gone:
            self._redis.srem(f"rq:workers:{queue}", *gone)
            self._redis.srem("rq:workers", *gone)
        seen = {ExecutionKey(job_id.decode()): _Observed(NEVER, "") for job_id in waiting}
        # Of an entry that somebody else has made, this user may read nothing.
        seen |= {key: _Observed(NEVER, "") for key in map(_key_of, members) if not key.belongs_to(queue)}
        for key, (heartbeat, worker) in zip(claimed, replies, strict=False):
            seen[key] = _Observed(heartbeat.decode() if heartbeat else NEVER, worker.decode() if worker else "")
        return seen

    def _hand_over(self, key: ExecutionKey, observed: _Observed) -> None:
        """Queue the job of a dead execution again, or end its run if it has died too often."""
        if not key.belongs_to(self._queue):
            forget(self._redis, self._queue, key)
            return
        dead = ExecutionKey(key.job_id, key.execution, observed.worker)
        move = requeue(self._redis, self._queue, dead, DIED if key.execution else LOST, heartbeat=observed.heartbeat)
        if move == REQUEUED:
            log.warning("the worker died; its job is queued again", job=key.job_id, worker=observed.worker)
        if move == REMOVED:
            log.warning("the worker died; its job is not queued again", job=key.job_id, worker=observed.worker)
            status = read_status(self._redis, key)
            if status and status not in OPEN:
                self.ended.add(key.job_id, status)


def _key_of(member: bytes) -> ExecutionKey:
    return ExecutionKey.of(member.decode(errors="replace"))
