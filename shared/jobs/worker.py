"""An RQ worker that loses no run: the parent process of every trainer, and of the load tester.

`consume` is the parent. It has imported its framework before it forks, so
that a job starts in milliseconds, and it runs nothing of the framework
itself, since a framework that has run must not be forked. `perform` is what
each fork, a work horse, runs. No code that a job names is run: only
`perform`, and no callbacks.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from redis import Redis
from redis.client import Pipeline
from rq import Queue, Worker
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.timeouts import JobTimeoutException
from structlog.contextvars import bind_contextvars

from shared.errors import SupersededError, TandemError, UntrustedJobError
from shared.jobs.job_queue import FUNCTION, RETRIES
from shared.jobs.run_state import CANCELLED, FAILED, QUEUED, Run
from shared.jobs.signing import signing_key, trusted
from shared.process import end_with_parent
from shared.settings import Settings

Work = Callable[[Run, dict[str, Any]], None]  # what a kind of job does; it reports its success itself

MONITOR_S = 2  # how often the parent looks after its work horse
HEARTBEAT_TTL_S = 10  # a worker silent for so long is dead, and its job another's
MAINTENANCE_S = 5  # how often workers look for such jobs


log = structlog.get_logger()

_consumer: tuple[str, Settings, Redis, dict[str, Work]] | None = None


def consume(queue: str, settings: Settings, redis: Redis, works: dict[str, Work]) -> int:
    """Do the jobs of a queue until told to stop, each kind by its function."""
    global _consumer  # noqa: PLW0603 - a fork inherits it, and RQ finds `perform` by its name alone
    _consumer = queue, settings, redis, works
    TandemWorker(queue, redis, show_alive(queue, settings)).work(logging_level="WARNING")
    return 0


def show_alive(queue: str, settings: Settings) -> Path:
    """Touch the file that a health check looks at; its path."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    alive = settings.state_dir / f"{queue}-worker.alive"
    alive.touch()
    return alive


def perform(payload: str, signature: str) -> None:
    """Run one signed job in a work horse, and report however it ends."""
    assert _consumer is not None, "perform runs in a work horse of consume"
    queue, settings, redis, works = _consumer
    job = trusted(payload, signature, signing_key(settings.key_file))
    if job["backend"] != queue:
        raise UntrustedJobError(f"the job was signed for {job['backend']}")
    run = Run(redis, job["kind"], job["id"], queue)
    bind_contextvars(kind=job["kind"], id=job["id"], backend=queue, request_id=job.get("request_id"))
    try:
        if not run.start():
            return
        log.info("started")
        works[job["kind"]](run, job)
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
        run.fail(f"{type(error).__name__}: {error}")
        log.exception("failed")


class TandemJob(Job):
    """A job that can name one function and no callbacks or webhooks: they are data too."""

    success_callback = failure_callback = stopped_callback = None

    def perform(self) -> Any:
        if self.func_name != FUNCTION:
            raise UntrustedJobError(f"the job names {self.func_name!r}, which no worker runs")
        return super().perform()

    def send_webhooks(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing."""


class TandemWorker(Worker):
    """One queue, one job at a time, each in a process of its own.

    Args:
        alive: a file touched at each heartbeat, for a health check that costs nothing.
    """

    def __init__(self, queue: str, redis: Redis, alive: Path) -> None:
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
        return HEARTBEAT_TTL_S

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        self._alive.touch()
        super().heartbeat(timeout, pipeline)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM, let go of a job in hand instead of finishing it: it goes back to its queue."""
        self.kill_horse()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Kill the horse alone: until it has begun, its process group is still our own, which RQ would kill."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, sig)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """An orphaned work horse would go on beside the one that takes its job over."""
        end_with_parent(signal.SIGKILL)
        super().main_work_horse(job, queue)  # type: ignore[no-untyped-call]

    def handle_job_failure(self, job: Job, queue: Queue, *args: Any, **kwargs: Any) -> None:
        """A work horse died before it could report: say so where clients look."""
        job.refresh()  # type: ignore[no-untyped-call]
        if self._stop_requested:  # being told to stop is no fault of the job's: it costs none of its retries
            job.retries_left = (job.retries_left or 0) + 1
        if self._stopped_job_id == job.id:
            _settle(job, CANCELLED, self.connection)
        else:
            _settle(job, QUEUED if job.should_retry else FAILED, self.connection)
        super().handle_job_failure(job, queue, *args, **kwargs)

    def _abandoned(self, job: Job, error_type: type[BaseException], *_: Any) -> bool:
        """A whole worker died, and this one found its job."""
        if error_type is AbandonedJobError:
            _settle(job, QUEUED if job.retries_left else FAILED, self.connection)
        return True


def _settle(job: Job, status: str, redis: Redis) -> None:
    """Say of the job's run what its work horse no longer can; a run that has ended stays as it is."""
    if len(identity := job.id.split("-", 2)) != 3:
        return  # not one of ours
    died = f"the worker died {RETRIES + 1} times at this job: it may need more memory than there is"
    Run(redis, *identity).settle(status, error=died if status == FAILED else None)
