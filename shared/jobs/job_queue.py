"""Submit long work, read its state, and cancel it.

Work (a training, an evaluation, a certificate, ...) consists of a record and one run per backend (`run_state.py`). Each
run has one job in a queue. An execution is one attempt of a worker to perform the job.
Submitting writes the record, gives out a model's version and enqueues one job per run, all in one Redis transaction.
The state of a run is kept in our own keys. RQ's job only tells a trainer to begin, and is removed when the run ends.

    tandem:<kind>s                  sorted set of ids, by time of submission
    tandem:<kind>:<id>              hash: what was submitted, one JSON value per field
    tandem:version:<name>           the last version given out
    tandem:once:<kind>:<sha256>     an Idempotency-Key: the id of the work that it submitted, for a day

All of them expire after `TANDEM_KEEP_DAYS`. A record lives a little longer than its runs, so that no run that goes on
is without a record.
"""

import contextlib
import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import WatchError
from rq import Queue
from rq import Retry as JobRetry
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.serializers import JSONSerializer

from shared.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from shared.jobs.changes import CHANGES_KEY, FIELD, MAX_CHANGES
from shared.jobs.kinds import JobRecord, JobT, Kind, PairT, RunT
from shared.jobs.listings import JobPage, PageRequest, read_page
from shared.jobs.payloads import DeletionJob, JobPayload, PublishingJob
from shared.jobs.records import read_records
from shared.jobs.results import RunState
from shared.jobs.run_state import FAILED, HISTORY_FIELDS, OPEN, SUCCEEDED, Run, packed
from shared.jobs.signing import sign
from shared.logs import request_id
from shared.models.aliases import Aliases
from shared.settings import Settings

FUNCTION = "shared.jobs.worker.perform"
LOADTEST = "loadtest"  # the queue of load tests; also the name of a load test's single run
PIPELINES = "pipelines"  # the queue of searches and releases; also the name of their single run
RETRIES = 2  # how often a job is started again after its trainer died
PIPELINE_RETRIES = 1000  # the same for work that is made of other jobs: it goes on where it was
ONCE_S = 86_400  # how long an Idempotency-Key is remembered
MAX_RACES = 100  # how often a submission is repeated because another one changed the same keys
MAX_WAITING_LOAD_TESTS = 10  # each keeps the machine busy for up to TANDEM_JOB_TIMEOUT_S
EXACT_BELOW = 64  # free places in a queue from which on submissions at the same time are counted one by one
DAY_S = 86_400
LOOK_AT_WAITING = 4  # times as many places of a queue are looked at as waiting jobs are asked for
JOB_ID = re.compile("([a-z]+)-([0-9a-f]{32})-")

log = structlog.get_logger()


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's Idempotency-Key, and a digest of the request that it came with."""

    key: str
    digest: str

    def redis_key(self, kind: str) -> str:
        """Return the Redis key for the Idempotency-Key. It holds a hash, because clients choose the text."""
        return f"tandem:once:{kind}:{hashlib.sha256(self.key.encode()).hexdigest()}"

    @classmethod
    def of(cls, key: str, request: object) -> "IdempotencyKey":
        """Return the key with the digest of a JSON-able request."""
        return cls(key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest())


class JobQueue:
    """Submits long work, reads its state, and cancels it."""

    def __init__(self, redis: Redis, settings: Settings, key: bytes) -> None:
        """Use a Redis.

        Args:
            redis: the connection.
            settings: how long a job may run, how many may wait, and how long records are kept.
            key: the key that signs jobs.
        """
        self.redis = redis
        self._settings = settings
        self._key = key
        self._keep_s = settings.keep_days * DAY_S
        # A job is performed while it is younger than `_keep_s`, and then takes at most this long.
        longest_s = max((RETRIES + 1) * settings.job_timeout_s, settings.pipeline_timeout_s)
        self._keep_record_s = self._keep_s + longest_s

    def submit(
        self,
        kind: Kind[JobT, RunT, PairT],
        job: JobT,
        runs: Mapping[str, RunState],
        *,
        newest_published: int | None = None,
        idempotency_key: IdempotencyKey | None = None,
    ) -> str:
        """Record work and enqueue one signed job per backend, all or nothing.

        Args:
            kind: the kind of work.
            job: what was asked for. The fields that all jobs share are filled in here.
            runs: for each backend, the state that its run begins with.
            newest_published: if the job needs a new version of a model, the newest published one; 0 if there is none.
                The job's version is one more than the larger of it and of the last version given out. All runs of the
                job share it. A failed job leaves a gap.
            idempotency_key: the client's. Work that was submitted with this key before is not submitted again.

        Returns:
            The id of the new work, or of the work that the key submitted first.

        Raises:
            InvalidRequestError: the key came with another request before.
            ConflictError: the version to delete is `stable`.
            UnavailableError: too many jobs wait, or other submissions changed the same keys again and again.
        """
        identity = uuid.uuid4().hex
        record_key = f"tandem:{kind.name}:{identity}"
        once_key = idempotency_key and idempotency_key.redis_key(kind.name)
        version_key = (
            f"tandem:version:{job.name}" if isinstance(job, PublishingJob) and newest_published is not None else None
        )
        for _ in range(MAX_RACES):
            with self.redis.pipeline() as transaction:
                try:
                    watched = (record_key, once_key, version_key)
                    transaction.watch(*filter(None, watched))  # type: ignore[no-untyped-call]
                    if transaction.exists(record_key):
                        return identity  # the transaction was executed before, and only Redis's answer was lost
                    if idempotency_key and (first := self.find_submitted(kind, idempotency_key)):
                        return first
                    self._check_queues(transaction, runs)
                    if isinstance(job, DeletionJob):
                        Aliases.check_deletable(transaction, job.name, job.model_version)
                    version = None
                    if version_key:
                        given = int(cast(bytes | None, transaction.get(version_key)) or 0)
                        version = max(given, newest_published or 0) + 1
                    transaction.multi()
                    if version_key and version:
                        transaction.set(version_key, version, ex=self._keep_record_s)
                    if idempotency_key and once_key:
                        began = json.dumps({"id": identity, "digest": idempotency_key.digest})
                        transaction.set(once_key, began, ex=ONCE_S)
                    self._write(transaction, kind, _complete(job, kind.name, identity, version), runs)
                    transaction.execute()
                    log.info("submitted", kind=kind.name, id=identity)
                    return identity
                except WatchError:
                    continue
        raise UnavailableError("too many submissions at the same time: try again in a moment")

    def _check_queues(self, transaction: Pipeline, runs: Mapping[str, RunState]) -> None:
        """Check that each queue has a free place. Near the limit, the queue is watched, so that it is never exceeded.

        Raises:
            UnavailableError: a queue is full.
        """
        for queue in runs:
            limit, hint = self._settings.max_queued, " (TANDEM_MAX_QUEUED)"
            if queue == LOADTEST and limit > MAX_WAITING_LOAD_TESTS:
                limit, hint = MAX_WAITING_LOAD_TESTS, ""
            key = f"rq:queue:{queue}"
            if limit - transaction.llen(key) <= EXACT_BELOW:
                transaction.watch(key)  # type: ignore[no-untyped-call]
                if transaction.llen(key) >= limit:
                    raise UnavailableError(
                        f"{limit} jobs of {queue} wait already{hint}: try again when some have ended"
                    )

    def _write(
        self, transaction: Pipeline, kind: Kind[JobT, RunT, PairT], job: JobPayload, runs: Mapping[str, RunState]
    ) -> None:
        """Add to a transaction: the record, the runs, and the jobs on their queues."""
        now, index = time.time(), f"tandem:{job.kind}s"
        job = job.model_copy(update={"created_at": datetime.fromtimestamp(now, UTC).isoformat()})
        record = job.model_dump(mode="json", exclude={"kind", "backend", "request_id"})
        transaction.hset(f"tandem:{job.kind}:{job.id}", mapping=packed({**record, "backends": list(runs)}))
        transaction.expire(f"tandem:{job.kind}:{job.id}", self._keep_record_s)
        transaction.zadd(index, {job.id: now})
        transaction.zremrangebyscore(index, 0, now - self._keep_record_s)
        transaction.expire(index, self._keep_record_s)
        if isinstance(job, DeletionJob):
            Aliases.mark_deletion(transaction, job.name, job.model_version, job.id, list(runs), self._keep_record_s)
        change = {FIELD: f"tandem:{job.kind}:{job.id}"}
        transaction.xadd(CHANGES_KEY, change, maxlen=MAX_CHANGES)  # type: ignore[arg-type] # redis-py's type is invariant
        for backend, state in runs.items():
            first = state.model_dump(mode="json", exclude_unset=True, exclude=HISTORY_FIELDS)
            fields = {"error": None, "overlapped": False, "publishing": False, "keep_s": self._keep_s, **first}
            transaction.hset(f"tandem:{job.kind}:{job.id}:{backend}", mapping=packed(fields))
            transaction.expire(f"tandem:{job.kind}:{job.id}:{backend}", self._keep_record_s)
            queued = job.model_copy(update={"backend": backend, "request_id": request_id()})
            payload = json.dumps(queued.model_dump(mode="json"), allow_nan=False)
            rq_job = Queue.prepare_data(
                FUNCTION,
                (payload, sign(payload, self._key)),
                job_id=_job_id(job.kind, job.id, backend),
                description=f"{job.kind} {job.id}",
                timeout=self._settings.pipeline_timeout_s if kind.is_made_of_jobs else self._settings.job_timeout_s,
                result_ttl=0,
                retry=JobRetry(
                    max=PIPELINE_RETRIES if kind.is_made_of_jobs else RETRIES, interval=0, enqueue_at_front=True
                ),
            )
            queue_of(backend, self.redis).enqueue_many([rq_job], pipeline=transaction)

    def find_submitted(self, kind: Kind[JobT, RunT, PairT], idempotency_key: IdempotencyKey) -> str | None:
        """Return the id of the work that was submitted with an Idempotency-Key, or None.

        Raises:
            InvalidRequestError: the key came with another request.
        """
        began = self.redis.get(idempotency_key.redis_key(kind.name))
        if began is None:
            return None
        found = json.loads(cast(bytes, began))
        if found["digest"] != idempotency_key.digest:
            raise InvalidRequestError("this Idempotency-Key came with another request before: take a new key")
        return cast(str, found["id"])

    def read(self, kind: Kind[JobT, RunT, PairT], identity: str) -> JobRecord[JobT, RunT, PairT]:
        """Return what was submitted, and how it stands.

        Raises:
            NotFoundError: there is no such work.
        """
        found = read_records(self.redis, kind, [identity])
        if not found:
            raise NotFoundError(f"there is no {kind.name} {identity[:80]!r}")
        return found[0]

    def list_page(self, kind: Kind[JobT, RunT, PairT], page: PageRequest) -> JobPage[JobT, RunT, PairT]:
        """Return a part of the list of all work of a kind, newest first.

        Raises:
            InvalidRequestError: there is no work with the id that the page begins behind.
        """
        return read_page(self.redis, kind, page)

    def list_waiting(self, queue: str, limit: int) -> list[tuple[str, str]]:
        """Return the kind and the id of each job that waits in a queue, in the order in which they will begin.

        Jobs that were cancelled are left out. They stay in the queue until its trainer drops them.

        Args:
            queue: its name.
            limit: how many to return at most.
        """
        job_ids = queue_of(queue, self.redis).get_job_ids(0, LOOK_AT_WAITING * limit)
        waiting = [found for found in map(parse_job_id, job_ids) if found]
        with self.redis.pipeline(transaction=False) as pipeline:
            for kind, identity in waiting:
                pipeline.hget(f"tandem:{kind}:{identity}:{queue}", "status")
            statuses = cast(list[bytes | None], pipeline.execute())
        ended = [status is None or json.loads(status) not in OPEN for status in statuses]
        return [work for work, has_ended in zip(waiting, ended, strict=True) if not has_ended][:limit]

    def cancel(self, kind: Kind[JobT, RunT, PairT], identity: str) -> None:
        """End every run that has not ended. A run that is being published is not cancelled and succeeds.

        A queued job stays in its queue. Its trainer finds that the run has ended, and does nothing. Work that is made
        of other jobs is not stopped at once: its worker notices soon, and cancels the job that it waits for.

        Raises:
            NotFoundError: there is no such work.
            ConflictError: the work has succeeded or failed.
        """
        work = self.read(kind, identity)
        if work.status in (SUCCEEDED, FAILED):
            raise ConflictError(f"the {kind.name} has {work.status} already: nothing is left to cancel")
        for backend in work.runs:
            if Run(self.redis, kind.name, identity, backend).cancel() and not kind.is_made_of_jobs:
                # If no trainer executes it yet, the trainer looks at the run's status before it begins.
                with contextlib.suppress(InvalidJobOperation, NoSuchJobError):
                    send_stop_job_command(self.redis, _job_id(kind.name, identity, backend), JSONSerializer)


def queue_of(backend: str, redis: Redis) -> Queue:
    """Return the RQ queue of a backend, or of the load tester."""
    return Queue(backend, connection=redis, serializer="json")


def _complete(job: JobPayload, kind: str, identity: str, version: int | None) -> JobPayload:
    """Return the job with its kind and id, and with its version if one was given out."""
    given = {} if version is None else {"version": version}
    return job.model_copy(update={"kind": kind, "id": identity, **given})


def parse_job_id(job_id: str) -> tuple[str, str] | None:
    """Return the kind and the id of the work that a job of RQ's belongs to, or None if the job is not ours."""
    found = JOB_ID.match(job_id)
    return (found[1], found[2]) if found else None


def _job_id(kind: str, identity: str, backend: str) -> str:
    return f"{kind}-{identity}-{backend}"
