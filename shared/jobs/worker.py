"""An RQ worker that sets the status of every run, also when its process dies. Trainers and the load tester use it.

A run whose process died is queued again, at most `RETRIES` times, and then fails.

`consume` runs in the parent process. The parent has imported its framework before it forks, so that a job starts in
milliseconds. It executes nothing of the framework itself, because a framework that has executed must not be forked.
Each fork (RQ calls it a work horse) runs `perform` for one job. A job in Redis can name no other function, and no
callbacks.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError
from redis import Redis
from redis.client import Pipeline
from rq import Queue, Worker
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.timeouts import JobTimeoutException
from structlog.contextvars import bind_contextvars

from shared.errors import SupersededError, TandemError, UntrustedJobError, describe_error
from shared.jobs.job_queue import FUNCTION, RETRIES
from shared.jobs.payloads import JobPayload, Status
from shared.jobs.results import RunState
from shared.jobs.run_state import CANCELLED, FAILED, QUEUED, Run
from shared.jobs.signing import signing_key, verify_signature
from shared.process import end_with_parent
from shared.settings import Settings

MONITOR_S = 2  # how often the parent looks after its work horse
HEARTBEAT_TTL_S = 10  # a worker without a heartbeat for so long is taken for dead, and another worker takes its job
MAINTENANCE_S = 5  # how often workers look for jobs of dead workers

log = structlog.get_logger()

PayloadT = TypeVar("PayloadT", bound=JobPayload)


@dataclass(frozen=True)
class JobHandler:
    """How one kind of job is performed.

    Attributes:
        payload: the class that the job's payload is parsed into.
        perform: called with the run and the parsed payload. It reports the run's success itself.
        run: the class of the run's state. A report of a field that the class does not have is refused. Without a class,
            every field is accepted.
    """

    payload: type[JobPayload]
    perform: Callable[[Run, Any], None]
    run: type[RunState] | None = None


@dataclass(frozen=True)
class WorkerContext:
    """What a work horse inherits from its parent."""

    queue: str
    settings: Settings
    redis: Redis
    handlers: Mapping[str, JobHandler]


_worker_context: WorkerContext | None = None


def consume(queue: str, settings: Settings, redis: Redis, handlers: Mapping[str, JobHandler]) -> int:
    """Do the jobs of a queue until a signal stops the process.

    Args:
        queue: the queue's name.
        settings: the settings of the process.
        redis: the connection.
        works: kind -> how its jobs are performed.

    Returns:
        The exit status of the process.
    """
    global _worker_context  # noqa: PLW0603 - a fork inherits it; RQ finds `perform` by its name and passes nothing else
    _worker_context = WorkerContext(queue, settings, redis, handlers)
    TandemWorker(queue, redis, show_alive(queue, settings)).work(logging_level="WARNING")
    return 0


def show_alive(queue: str, settings: Settings) -> Path:
    """Touch the file that a health check looks at, and return its path."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    alive = settings.state_dir / f"{queue}-worker.alive"
    alive.touch()
    return alive


def perform(payload: str, signature: str) -> None:
    """Run one job in a work horse, and report how it ends.

    Args:
        payload: a JobPayload as JSON.
        signature: the payload's signature.

    Raises:
        UntrustedJobError: the payload was not signed with our key, or was signed for another queue.
    """
    assert _worker_context is not None, "perform runs in a work horse of consume"
    queue, settings, redis = _worker_context.queue, _worker_context.settings, _worker_context.redis
    verify_signature(payload, signature, signing_key(settings.key_file))
    job = parse_payload(JobPayload, payload)
    if job.backend != queue:
        raise UntrustedJobError(f"the job was signed for the queue {job.backend!r}, not for {queue!r}")
    work = _worker_context.handlers.get(job.kind)
    run = Run(redis, job.kind, job.id, queue, work.run if work else None)
    bind_contextvars(kind=job.kind, id=job.id, backend=queue, request_id=job.request_id)
    try:
        if not run.start():
            return
        log.info("started")
        if work is None:
            raise UntrustedJobError(f"the workers of {queue} perform no jobs of kind {job.kind!r}")
        work.perform(run, parse_payload(work.payload, payload))
        log.info("succeeded")
    except SupersededError as error:
        log.warning("superseded", reason=str(error))
    except JobTimeoutException:
        run.fail(f"it took longer than {settings.job_timeout_s} s (TANDEM_JOB_TIMEOUT_S)")
        log.warning("timed out")
    except TandemError as error:
        run.fail(str(error))
        log.warning("failed", reason=str(error))
    except Exception as error:
        run.fail(f"{type(error).__name__}: {describe_error(error)}")
        log.exception("failed")


def parse_payload(payload_class: type[PayloadT], payload: str) -> PayloadT:
    """Return a payload as an object of its class.

    Raises:
        UntrustedJobError: the payload is not JSON, or does not match the class.
    """
    try:
        return payload_class.model_validate_json(payload)
    except ValidationError as error:
        problems = "; ".join(": ".join(map(str, (*part["loc"], part["msg"]))) for part in error.errors())
        raise UntrustedJobError(f"the job's payload does not match {payload_class.__name__}: {problems}") from None


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


class TandemWorker(Worker):
    """An RQ worker for one queue. It does one job at a time, each in its own process."""

    def __init__(self, queue: str, redis: Redis, alive: Path) -> None:
        """Prepare to work.

        Args:
            queue: the queue's name.
            redis: the connection.
            alive: a file that is touched at each heartbeat, so that a health check only has to look at its time.
        """
        self._alive = alive
        super().__init__(
            [Queue(queue, connection=redis, serializer="json", job_class=TandemJob)],
            connection=redis,
            serializer="json",
            job_class=TandemJob,
            job_monitoring_interval=MONITOR_S,
            maintenance_interval=MAINTENANCE_S,
            worker_ttl=60,
            exception_handlers=[self._abandoned],
        )

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 - RQ's signature
        """Return the seconds after which a worker without a heartbeat is taken for dead."""
        return HEARTBEAT_TTL_S

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Tell Redis and the health check that the worker is alive."""
        self._alive.touch()
        super().heartbeat(timeout, pipeline)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM, stop the current job instead of finishing it. The job goes back to its queue."""
        self.kill_horse()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Kill the work horse only. RQ would kill its process group, which is ours until the work horse has begun."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, sig)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Run a job in the work horse, which ends when its parent ends.

        Otherwise it would continue beside the work horse that takes its job over.
        """
        end_with_parent(signal.SIGKILL)
        super().main_work_horse(job, queue)  # type: ignore[no-untyped-call]

    def handle_job_failure(self, job: Job, queue: Queue, *args: Any, **kwargs: Any) -> None:
        """Set the status of a run whose work horse died before it could report."""
        job.refresh()  # type: ignore[no-untyped-call]
        if self._stop_requested:  # the job did not cause the stop, so it loses no retry
            job.retries_left = (job.retries_left or 0) + 1
        if self._stopped_job_id == job.id:
            _settle(job, CANCELLED, self.connection)
        else:
            _settle(job, QUEUED if job.should_retry else FAILED, self.connection)
        super().handle_job_failure(job, queue, *args, **kwargs)

    def _abandoned(self, job: Job, error_type: type[BaseException], *_: Any) -> bool:
        """Set the status of a run whose whole worker died. RQ calls this in the worker that found the job.

        Returns True, so that RQ goes on with its own handling.
        """
        if error_type is AbandonedJobError:
            _settle(job, QUEUED if job.retries_left else FAILED, self.connection)
        return True


def _settle(job: Job, status: Status, redis: Redis) -> None:
    """Set the status of a job's run after its worker process died. A run that has ended stays as it is."""
    parts = job.id.split("-", 2)
    if len(parts) != 3:
        return  # the job is not one of ours
    kind, identity, backend = parts
    died = f"the worker died {RETRIES + 1} times while it performed this job: it may need more memory than there is"
    Run(redis, kind, identity, backend).settle(status, error=died if status == FAILED else None)
