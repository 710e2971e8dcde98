"""Queues and signed jobs: long work is submitted, read and cancelled here.

Long work (a training, an evaluation, a certificate, ...) is a record and one run per
backend (`shared/runs.py`). Submitting writes the record, gives out a model's
version and enqueues a job per run in one transaction: all of it or nothing.
The truth about a run lives in our own keys, which do not expire; RQ's job is
only the hand that wakes a trainer.

    tandem:<kind>s                  sorted set of ids, by time of submission
    tandem:<kind>:<id>              hash: what was submitted, one JSON per field
    tandem:version:<name>           the last version given out
    tandem:once:<kind>:<sha256>     an Idempotency-Key: the id it began, for a day
"""

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import Pipeline
from redis.exceptions import WatchError
from redis.retry import Retry
from rq import Queue
from rq import Retry as JobRetry
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.serializers import JSONSerializer

from shared.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from shared.jobs.run_state import CANCELLED, FAILED, OPEN, QUEUED, RUNNING, SUCCEEDED, Run, packed, unpacked
from shared.jobs.signing import sign
from shared.logs import request_id

FUNCTION = "shared.jobs.worker.perform"
LOADTEST = "loadtest"  # the queue of load tests, and the one share that such a test has
RETRIES = 2  # a job whose trainer dies is started again this many times
ONCE_S = 86_400  # how long an Idempotency-Key is remembered
MAX_RACES = 100  # how often a submission gives way to others before it gives up

log = structlog.get_logger()


def connect(url: str, patient: bool) -> Redis:
    """A client of Redis.

    Args:
        patient: a trainer waits minutes for Redis to come back; the gateway,
            with somebody waiting for it, gives up within two seconds.
    """
    if patient:
        backoff = ExponentialWithJitterBackoff(base=0.1, cap=2)
        return Redis.from_url(url, retry=Retry(backoff, 120), socket_connect_timeout=5)
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=0.1)
    return Redis.from_url(url, retry=Retry(backoff, 1), socket_timeout=1, socket_connect_timeout=1)


def overall_status(statuses: Iterable[str]) -> str:
    """The status of work from those of its runs: it ends when all of them have."""
    found = set(statuses)
    if not found & set(OPEN):
        return next(status for status in (FAILED, CANCELLED, SUCCEEDED) if status in found)
    return QUEUED if found == {QUEUED} else RUNNING


@dataclass(frozen=True)
class Once:
    """A client's Idempotency-Key, and a digest of the request it came with."""

    key: str
    digest: str

    def place(self, kind: str) -> str:
        """Where Redis keeps the key; hashed, for it is a client's text."""
        return f"tandem:once:{kind}:{hashlib.sha256(self.key.encode()).hexdigest()}"

    @classmethod
    def of(cls, key: str, request: Any) -> "Once":
        return cls(key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest())


class JobQueue:
    """Submits long work, reads how it stands, and cancels it."""

    def __init__(self, redis: Redis, timeout_s: int, key: bytes) -> None:
        self.redis = redis
        self.timeout_s = timeout_s
        self._key = key

    def submit(
        self,
        kind: str,
        record: dict[str, Any],
        runs: dict[str, dict[str, Any]],
        *,
        published: int | None = None,
        once: Once | None = None,
    ) -> str:
        """Record work and enqueue one signed job per backend, all or nothing.

        Args:
            kind: what its workers know how to do: `shared.trainer.KINDS`, or a load test.
            record: what was asked for; JSON-able.
            runs: for each backend, the fields that its run begins with.
            published: for work that publishes `record["name"]`, the newest version on
                the volume; the record gets the next `version` that nobody was given.
            once: work that was submitted with this key before is not submitted again.

        Returns:
            The id of the work; of the first, if the key had been used.
        """
        identity = uuid.uuid4().hex
        once_key = once and once.place(kind)
        version_key = None if published is None else f"tandem:version:{record['name']}"
        for _ in range(MAX_RACES):
            with self.redis.pipeline() as transaction:
                try:
                    watched = (f"tandem:{kind}:{identity}", once_key, version_key)
                    transaction.watch(*filter(None, watched))  # type: ignore[no-untyped-call]
                    if transaction.exists(f"tandem:{kind}:{identity}"):
                        return identity  # it was carried out, and only the answer was lost
                    if once and (first := self.first(kind, once)):
                        return first
                    if version_key:
                        given = int(cast(bytes | None, transaction.get(version_key)) or 0)
                        record = {**record, "version": max(given, published or 0) + 1}
                    transaction.multi()
                    if version_key:
                        transaction.set(version_key, record["version"])
                    if once and once_key:
                        began = json.dumps({"id": identity, "digest": once.digest})
                        transaction.set(once_key, began, ex=ONCE_S)
                    self._write(transaction, kind, identity, record, runs)
                    transaction.execute()
                    log.info("submitted", kind=kind, id=identity)
                    return identity
                except WatchError:
                    continue
        raise UnavailableError("too many submissions at once: try again in a moment")

    def _write(
        self, transaction: Pipeline, kind: str, identity: str, record: dict[str, Any], runs: dict[str, dict[str, Any]]
    ) -> None:
        now = time.time()
        record = {**record, "id": identity, "created_at": datetime.fromtimestamp(now, UTC).isoformat()}
        transaction.hset(f"tandem:{kind}:{identity}", mapping=packed({**record, "backends": list(runs)}))
        transaction.zadd(f"tandem:{kind}s", {identity: now})
        for backend, fields in runs.items():
            run = {"status": QUEUED, "error": None, "overlapped": False, "publishing": False, **fields}
            transaction.hset(f"tandem:{kind}:{identity}:{backend}", mapping=packed(run))
            asked = {"kind": kind, "backend": backend, "request_id": request_id(), **record}
            payload = json.dumps(asked, allow_nan=False)
            job = Queue.prepare_data(
                FUNCTION,
                (payload, sign(payload, self._key)),
                job_id=_job_id(kind, identity, backend),
                description=f"{kind} {identity}",
                timeout=self.timeout_s,
                result_ttl=3600,
                retry=JobRetry(max=RETRIES, interval=0, enqueue_at_front=True),
            )
            queue_of(backend, self.redis).enqueue_many([job], pipeline=transaction)

    def first(self, kind: str, once: Once) -> str | None:
        """The id of the work that was submitted with this key, if any was.

        Raises:
            InvalidRequestError: it came with another request then.
        """
        began = self.redis.get(once.place(kind))
        if began is None:
            return None
        found = json.loads(cast(bytes, began))
        if found["digest"] != once.digest:
            raise InvalidRequestError("this Idempotency-Key came with another request before: take a new key")
        return cast(str, found["id"])

    def read(self, kind: str, identity: str) -> dict[str, Any]:
        """A record with its `status` and its `runs`, keyed by backend.

        Raises:
            NotFoundError: there is no such work.
        """
        record = unpacked(self.redis.hgetall(f"tandem:{kind}:{identity}"))
        if not record:
            raise NotFoundError(f"there is no {kind} {identity[:80]!r}")
        runs = {backend: Run(self.redis, kind, identity, backend).read() for backend in record.pop("backends")}
        comparisons = unpacked(self.redis.hgetall(f"tandem:{kind}:{identity}:comparisons"))
        return {
            **record,
            "status": overall_status(run["status"] for run in runs.values()),
            "runs": runs,
            "comparisons": [comparisons[pair] for pair in sorted(comparisons)],
        }

    def recent(self, kind: str, limit: int) -> list[dict[str, Any]]:
        """The newest records, newest first."""
        newest = cast(list[bytes], self.redis.zrevrange(f"tandem:{kind}s", 0, limit - 1))
        return [self.read(kind, identity.decode()) for identity in newest]

    def cancel(self, kind: str, identity: str) -> None:
        """End every run that has not ended, at once; a run that is just being published succeeds.

        A queued job stays in its queue: its trainer will find that nothing is left to do.

        Raises:
            NotFoundError, ConflictError: there is no such work, or it has ended otherwise.
        """
        work = self.read(kind, identity)
        if work["status"] in (SUCCEEDED, FAILED):
            raise ConflictError(f"the {kind} has {work['status']} already: nothing is left to cancel")
        for backend in work["runs"]:
            if Run(self.redis, kind, identity, backend).cancel():
                # No trainer at it yet: it will look at the run's status when it begins.
                with contextlib.suppress(InvalidJobOperation, NoSuchJobError):
                    send_stop_job_command(self.redis, _job_id(kind, identity, backend), JSONSerializer)


def queue_of(backend: str, redis: Redis) -> Queue:
    return Queue(backend, connection=redis, serializer="json")


def _job_id(kind: str, identity: str, backend: str) -> str:
    return f"{kind}-{identity}-{backend}"
