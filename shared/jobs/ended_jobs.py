"""Which jobs have ended, remembered on the worker's own disk, so that a signed job cannot be performed twice.

Somebody who may write to Redis could put a signed job back into its queue and set its run to `queued`. A worker
therefore leaves a mark when a run has ended: an empty file `<kind>-<id>-<backend>.<status>`. It does so after the end
was recorded in Redis. If it dies in between, the job is started again, finds its run ended, and leaves the mark then.
A mark is removed after `TANDEM_KEEP_DAYS`. By then the job itself is too old to be performed.
"""

import contextlib
import time
from pathlib import Path
from typing import get_args

import structlog

from shared.jobs.payloads import Status

DAY_S = 86_400

log = structlog.get_logger()


class EndedJobs:
    """The marks of ended jobs in a folder."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        """Use a folder, which need not exist.

        Args:
            folder: on a disk that outlives the process, and shared by all workers of the queue.
            keep_days: days after which jobs are refused anyway.
        """
        self._folder = folder
        self._keep_s = keep_days * DAY_S

    def add(self, job_id: str, status: Status) -> None:
        """Remember that one of our jobs has ended. If the disk refuses, a warning is logged instead."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{job_id}.{status}").touch()
        except OSError as error:
            log.warning("it cannot be remembered that a job has ended", job=job_id, reason=str(error))

    def find(self, job_id: str) -> Status | None:
        """Return the status with which a job has ended, or None if it is not known to have ended."""
        statuses: tuple[Status, ...] = get_args(Status)
        for status in statuses:
            if (self._folder / f"{job_id}.{status}").exists():
                return status
        return None

    def remove_old(self) -> None:
        """Remove the marks of jobs that are too old to be performed. A day more allows for clocks that differ."""
        oldest = time.time() - self._keep_s - DAY_S
        with contextlib.suppress(OSError):
            for mark in self._folder.iterdir():
                if mark.stat().st_mtime < oldest:
                    mark.unlink(missing_ok=True)
