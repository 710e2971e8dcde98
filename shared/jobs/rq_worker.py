"""RQ's worker, queue and job, changed so that every run gets its status, also when its process dies.

A run whose process died is queued again, at most `RETRIES` times, and then fails. RQ's maintenance does not run:
`executions.py` records who performs which job, and `reaper.py` finds dead work. RQ keeps nothing of a job that ended.
"""

import contextlib
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoPermissionError, RedisError
from rq import Queue, Worker
from rq.executions import Execution
from rq.job import Job
from rq.utils import now

from shared.errors import UntrustedJobError
from shared.jobs import executions
from shared.jobs.executions import REMOVED, ExecutionKey
from shared.jobs.job_queue import FUNCTION
from shared.jobs.reaper import DIED, Reaper
from shared.jobs.run_state import CANCELLED, FAILED, OPEN
from shared.process import end_with_parent

BEAT_EVERY_S = 1  # how often the parent looks after its work horse, and tells Redis that the execution goes on
DEQUEUE_S = 2  # how long a worker waits for a job before it tells Redis again that it is alive
WORKER_TTL_S = 15  # a worker without a heartbeat for so long is no longer listed
CHANGED = "the job in the queue is not the one that was submitted"

log = structlog.get_logger()


class TandemJob(Job):
    """An RQ job that runs `perform` and nothing else. Functions, callbacks and webhooks that it names are ignored."""

    success_callback = failure_callback = stopped_callback = None

    def perform(self) -> Any:
        """Run the job's function.

        Raises:
            UntrustedJobError: the function is not ours.
        """
        if self.func_name != FUNCTION:
            raise UntrustedJobError(f"the job names {self.func_name!r}, which no worker runs")
        return super().perform()

    def send_webhooks(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing."""


class TandemQueue(Queue):
    """An RQ queue that drops entries which are not our jobs, instead of ending the worker."""

    @classmethod
    def _fetch_dequeued_job(
        cls, connection: Redis, queue_key: str, job_id: str, *args: Any, **kwargs: Any
    ) -> tuple[Job, Queue] | None:
        key = ExecutionKey(job_id)
        queue = queue_key.removeprefix(cls.redis_queue_namespace_prefix)
        try:
            if key.belongs_to(queue):
                return super()._fetch_dequeued_job(connection, queue_key, job_id, *args, **kwargs)
        except RedisError as error:
            if not isinstance(error, NoPermissionError):
                raise
        except Exception as error:
            log.error("a job in the queue cannot be read", job=job_id[:200], reason=str(error))
            executions.end(connection, queue, key, FAILED, CHANGED)
            return None
        log.error("an entry of the queue is not a job", job=job_id[:200])
        executions.forget(connection, queue, key)
        return None


class TandemWorker(Worker):
    """An RQ worker for one queue. It does one job at a time, each in its own process."""

    queue_class = TandemQueue

    def __init__(self, queue: str, redis: Redis, alive: Path, reaper: Reaper) -> None:
        """Prepare to work.

        Args:
            queue: the queue's name.
            redis: the connection.
            alive: a file that is touched at each heartbeat, so that a health check only has to look at its time.
            reaper: the thread that looks after the queue.
        """
        self._alive = alive
        self._reaper = reaper
        self._queue_name = queue
        super().__init__(
            [TandemQueue(queue, connection=redis, serializer="json", job_class=TandemJob)],
            name=f"{queue}.{uuid4().hex}",
            connection=redis,
            serializer="json",
            job_class=TandemJob,
            job_monitoring_interval=BEAT_EVERY_S,
            worker_ttl=WORKER_TTL_S,
        )

    @property
    def dequeue_timeout(self) -> int:
        """Seconds that the worker waits for a job at a time."""
        return DEQUEUE_S

    @property
    def connection_timeout(self) -> int:
        """Seconds that RQ wants the client to wait for a reply."""
        return DEQUEUE_S + 1

    def run_maintenance_tasks(self) -> None:
        """Do nothing: the reaper looks after the queue."""
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002 - RQ's
        """Tell Redis and the health check that the worker is alive.

        Everything about the worker is written anew, because it may have expired while Redis did not answer.
        """
        self._alive.touch()
        self.last_heartbeat = now()
        with contextlib.ExitStack() as stack:
            commands = pipeline if pipeline is not None else stack.enter_context(self.connection.pipeline())
            commands.hset(self.key, mapping={**self.serialize(), "state": self.get_state()})
            commands.expire(self.key, WORKER_TTL_S)
            commands.expire(self.executions_key, WORKER_TTL_S)
            commands.sadd(self.redis_workers_keys, self.key)
            commands.sadd(f"rq:workers:{self._queue_name}", self.key)
            if pipeline is None:
                commands.execute()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Tell Redis that the execution goes on. If it does not, end the work horse.

        Either the work horse is about to exit, or its job was given to another worker. A work horse that was forked
        while a signal told the worker to stop is ended, too: `request_stop` knew no work horse then.
        """
        if self._stop_requested:
            self.kill_horse()
        self.heartbeat()
        if not executions.beat(self.connection, self._queue_name, self._key_of(execution)):
            log.info("the execution is no longer in Redis", job=job.id)
            self.kill_horse()

    def register_death(self) -> None:
        """Remove the worker from Redis."""
        super().register_death()  # type: ignore[no-untyped-call]
        self.connection.delete(self.key)

    def set_shutdown_requested_date(self) -> None:
        """Write nothing: nobody reads the date, and a worker must be able to stop while Redis is down."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM, stop the current job instead of finishing it. The job goes back to its queue."""
        self.kill_horse()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Kill the work horse only. RQ would kill its process group, which is ours until the work horse has begun."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, sig)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Claim a job that was taken from the queue, and perform it in a work horse."""
        self.set_state("busy")  # before the claim: a signal that comes to an idle worker ends it without handing over
        key = executions.claim(self.connection, queue.name, job.id, self.name)
        if key is None:
            log.warning("the job was given to another worker", job=job.id)
            self.set_state("idle")
            return
        execution = Execution(key.execution, job.id, self.connection, self.name)
        self.executions[execution.id] = execution
        with self._reaper.lock:
            self.fork_work_horse(job, queue)  # type: ignore[no-untyped-call]
        self.monitor_work_horse(job, queue, execution)  # type: ignore[no-untyped-call]
        self.set_state("idle")

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Run a job in the work horse, which ends when its parent ends.

        Otherwise it would continue beside the work horse that takes its job over.
        """
        end_with_parent(signal.SIGKILL)
        super().main_work_horse(job, queue)  # type: ignore[no-untyped-call]

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:  # noqa: ARG002
        """Only show the job in the list of processes: the worker has claimed it already."""
        self.procline(f"performing {job.id}")  # type: ignore[no-untyped-call]

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: object) -> None:  # noqa: ARG002
        """Remove everything that RQ keeps about the job."""
        executions.end(self.connection, queue.name, self._key_of(execution))

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: Any) -> None:
        """Refuse a job that is not to be trusted. After any other error, queue it again."""
        error = exc_info[1]
        key = self._key_of(execution)
        if isinstance(error, UntrustedJobError):
            log.error("a job was refused", job=job.id, reason=str(error))
            executions.end(self.connection, queue.name, key, FAILED, f"{CHANGED}: {error}")
        else:
            log.error("a job could not be performed", job=job.id, exc_info=error)
            executions.requeue(self.connection, queue.name, key, f"{type(error).__name__}: {error}")

    def handle_job_failure(
        self, job: Job, queue: Queue, started_job_registry: Any = None, exc_string: str = "", execution: Any = None
    ) -> None:
        """Queue the job of a work horse that died again. RQ calls this in the parent process."""
        del started_job_registry, exc_string
        key = self._key_of(execution)
        if self._stopped_job_id == job.id:
            self._stopped_job_id = None
            move = executions.end(self.connection, queue.name, key, CANCELLED)
        else:  # a work horse that was stopped with its worker loses no retry
            is_free = self._stop_requested
            move = executions.requeue(self.connection, queue.name, key, DIED, is_free=is_free)
        if move == REMOVED:
            status = executions.read_status(self.connection, key)
            if status not in OPEN:
                self._reaper.ended.add(job.id, status or FAILED)

    def _key_of(self, execution: Execution) -> ExecutionKey:
        return ExecutionKey(execution.job_id, execution.id, self.name)
