"""Perform the jobs of a queue. Trainers and the load tester use it.

`consume` runs in the parent process. The parent has imported its framework before it forks, so that a job starts in
milliseconds. It executes nothing of the framework itself, because a framework that has executed must not be forked.
Each fork (RQ calls it a work horse) runs `perform` for one job. A job in Redis can name no other function, and no
callbacks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError
from redis import Redis
from rq.timeouts import JobTimeoutException
from structlog.contextvars import bind_contextvars

from shared.errors import SupersededError, TandemError, UntrustedJobError, describe_error
from shared.jobs import executions
from shared.jobs.ended_jobs import EndedJobs
from shared.jobs.executions import ExecutionKey
from shared.jobs.payloads import JobPayload
from shared.jobs.reaper import Reaper
from shared.jobs.results import RunState
from shared.jobs.rq_worker import TandemWorker
from shared.jobs.run_state import FAILED, OPEN, Run
from shared.jobs.signing import signing_key, verify_signature
from shared.logs import begin_request
from shared.settings import Settings

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
        is_measured: as for `Run.start`.
    """

    payload: type[JobPayload]
    perform: Callable[[Run, Any], None]
    run: type[RunState] | None = None
    is_measured: bool = True


@dataclass(frozen=True)
class WorkerContext:
    """What a work horse inherits from its parent."""

    queue: str
    settings: Settings
    redis: Redis
    handlers: Mapping[str, JobHandler]
    ended: EndedJobs


_worker_context: WorkerContext | None = None


def consume(queue: str, settings: Settings, redis: Redis, handlers: Mapping[str, JobHandler], reaper: Reaper) -> int:
    """Do the jobs of a queue until a signal stops the process.

    Args:
        queue: the queue's name.
        settings: the settings of the process.
        redis: the connection.
        handlers: kind -> how its jobs are performed.
        reaper: the thread that looks after the queue already.

    Returns:
        The exit status of the process.
    """
    global _worker_context  # noqa: PLW0603 - a fork inherits it; RQ finds `perform` by its name and passes nothing else
    _worker_context = WorkerContext(queue, settings, redis, handlers, reaper.ended)
    TandemWorker(queue, redis, show_alive(queue, settings), reaper).work(logging_level="WARNING")
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
        UntrustedJobError: the payload was not signed with our key, was signed for another queue, or is too old.
    """
    assert _worker_context is not None, "perform runs in a work horse of consume"
    queue, settings, redis = _worker_context.queue, _worker_context.settings, _worker_context.redis
    verify_signature(payload, signature, signing_key(settings.key_file))
    job = parse_payload(JobPayload, payload)
    if job.backend != queue:
        raise UntrustedJobError(f"the job was signed for the queue {job.backend!r}, not for {queue!r}")
    _check_age(job, settings.keep_days)
    work = _worker_context.handlers.get(job.kind)
    run = Run(redis, job.kind, job.id, queue, work.run if work else None)
    begin_request(job.request_id)
    bind_contextvars(kind=job.kind, id=job.id, backend=queue)
    job_id = f"{job.kind}-{job.id}-{queue}"
    if ended := _worker_context.ended.find(job_id):
        log.error("a job that has ended was queued again, and is not performed", status=ended)
        run.settle(ended)
        return
    _perform(run, work, payload, settings)
    status = executions.read_status(redis, ExecutionKey(job_id))
    if status not in OPEN:
        _worker_context.ended.add(job_id, status or FAILED)


def _perform(run: Run, work: JobHandler | None, payload: str, settings: Settings) -> None:
    """Start the run, perform the work, and end the run. Nothing happens if the run has ended already."""
    try:
        if not run.start(is_measured=work is None or work.is_measured):
            return
        log.info("started")
        if work is None:
            raise UntrustedJobError(f"the workers of {run.backend} perform no jobs of kind {run.kind!r}")
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


def _check_age(job: JobPayload, keep_days: int) -> None:
    """Check that a job is not so old that its record, and the mark of its end, may have expired.

    Raises:
        UntrustedJobError: it is.
    """
    try:
        created = datetime.fromisoformat(job.created_at)
        is_old = datetime.now(UTC) - created > timedelta(days=keep_days)
    except (ValueError, TypeError):
        raise UntrustedJobError("the job does not say when it was submitted") from None
    if is_old:
        raise UntrustedJobError(f"the job was submitted more than {keep_days} days ago (TANDEM_KEEP_DAYS)")


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
