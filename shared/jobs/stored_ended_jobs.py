"""The marks of ended jobs in an object store, for workers that share no disk: `ended/<kind>-<id>-<backend>.<status>`.

The worker's process forks, so it must not use the client of the store itself. It forks a process for each mark.
"""

import contextlib
import os
import re
import time
from functools import partial
from typing import get_args

import structlog

from shared.jobs.ended_jobs import DAY_S, EndedJobs
from shared.jobs.executions import JOB_ID
from shared.jobs.payloads import Status
from shared.object_store import ObjectStore, ObjectStoreError, cache_folder, open_object_store
from shared.process import run_in_child
from shared.settings import Settings

FOLDER = "ended"
WAIT_S, AGAIN_S = 60.0, 2.0

_MARK = re.compile(rf"{FOLDER}/{JOB_ID.pattern}\.({'|'.join(get_args(Status))})")

log = structlog.get_logger()


class StoredEndedJobs(EndedJobs):
    """The marks of ended jobs in a store. The process that makes this object is the one that forks the others."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Use a store. Nothing connects before the first use."""
        super().__init__(cache_folder(settings.model_dir, url) / FOLDER, settings.keep_days)
        self._store: ObjectStore = open_object_store(url)
        self._parent = os.getpid()

    def add(self, job_id: str, status: Status) -> None:
        """Remember that one of our jobs has ended. If the store does not answer, a warning is logged instead."""
        write = partial(self._store.put, f"{FOLDER}/{job_id}.{status}", b"")
        try:
            if os.getpid() != self._parent:
                write()
            elif not run_in_child(write):
                log.warning("it cannot be remembered that a job has ended", job=job_id)
        except (OSError, RuntimeError) as error:
            log.warning("it cannot be remembered that a job has ended", job=job_id, reason=str(error))

    def find(self, job_id: str) -> Status | None:
        """Return the status with which a job has ended, or None if it is not known to have ended.

        Only work horses call this, before they do anything else. If the store does not answer, they wait for it, so
        that a short outage fails no run.

        Raises:
            ObjectStoreError: the store has not answered for WAIT_S. The job is queued again.
        """
        until = time.monotonic() + WAIT_S
        while True:
            try:
                return self._find(job_id)
            except ObjectStoreError:
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN_S)

    def remove_old(self) -> None:
        """Remove the marks of jobs that are too old to be performed."""
        with contextlib.suppress(OSError, RuntimeError):
            run_in_child(self._remove_old)

    def _find(self, job_id: str) -> Status | None:
        statuses: tuple[Status, ...] = get_args(Status)
        return next((status for status in statuses if self._store.exists(f"{FOLDER}/{job_id}.{status}")), None)

    def _remove_old(self) -> None:
        oldest = time.time() - self._keep_s - DAY_S
        old = [mark.key for mark in self._store.list(FOLDER) if mark.modified_s < oldest]
        self._store.delete(*filter(_MARK.fullmatch, old))


def open_ended_jobs(settings: Settings) -> EndedJobs:
    """Return a trainer's marks of ended jobs, in the object store that TANDEM_MODEL_STORE names or on the volume."""
    url = settings.model_store
    if url is None:
        return EndedJobs(settings.model_dir / ".scratch" / "ended", settings.keep_days)
    return StoredEndedJobs(settings, url)
