"""Queues, signed jobs, and the state of all long work in Redis.

Long work (a training, an evaluation) is a record and one run per backend.
Submitting writes the record and enqueues a job per run in one transaction.
The truth about a run lives in our own keys, which do not expire; RQ's job is
only the hand that wakes a trainer.

    tandem:<kind>s                      sorted set of ids, by time of submission
    tandem:<kind>:<id>                  hash: what was submitted, one JSON per field
    tandem:<kind>:<id>:<backend>        hash: a run, one JSON per field
    tandem:<kind>:<id>:<backend>:history   list of JSON, one per finished epoch
    tandem:<kind>:<id>:comparisons      hash: "<backend>,<backend>" -> JSON
    tandem:running                      set of the run keys at work now
    tandem:version:<name>               the last version given out
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from rq import Queue
from rq import Retry as JobRetry

from shared.errors import NotFoundError, SupersededError, UntrustedJobError

FUNCTION = "shared.trainer.perform"
QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
FINAL = frozenset((SUCCEEDED, FAILED, CANCELLED))
RETRIES = 2  # a job whose trainer dies is started again this many times

_RUNNING_KEY = "tandem:running"
_ALLOCATE = """
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])) + 1
redis.call('SET', KEYS[1], version)
return version
"""


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


def signing_key(path: Path) -> bytes:
    """The key that signs jobs; whoever needs it first makes it, whole, for its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent) as draft:  # made with mode 0600
            draft.write(secrets.token_bytes(32))
            draft.flush()
            with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
                os.link(draft.name, path)
    return path.read_bytes()


def sign(payload: str, key: bytes) -> str:
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def trusted(payload: str, signature: str, key: bytes) -> dict[str, Any]:
    """What a job asks for, once its signature is found to be ours.

    Raises:
        UntrustedJobError: whoever can write to Redis may not command a trainer.
    """
    if not hmac.compare_digest(sign(payload, key), signature):
        raise UntrustedJobError("the job was not signed with this Tandem's key")
    return cast(dict[str, Any], json.loads(payload))


def overall_status(statuses: Iterable[str]) -> str:
    """The status of work from those of its runs: it ends when all of them have."""
    found = set(statuses)
    if found <= FINAL:
        return next(status for status in (FAILED, CANCELLED, SUCCEEDED) if status in found)
    return QUEUED if found == {QUEUED} else RUNNING


class Jobs:
    """Submits long work and reads how it stands."""

    def __init__(self, redis: Redis, timeout_s: int) -> None:
        self.redis = redis
        self.timeout_s = timeout_s

    def allocate_version(self, name: str, published: int) -> int:
        """The next version of a model name: above all given out and all published."""
        return int(self.redis.eval(_ALLOCATE, 1, f"tandem:version:{name}", published))  # type: ignore[arg-type]

    def submit(self, kind: str, record: dict[str, Any], runs: dict[str, dict[str, Any]], key: bytes) -> str:
        """Record work and enqueue one signed job per backend, all or nothing.

        Args:
            kind: "training" or "evaluation".
            record: what was asked for; JSON-able.
            runs: for each backend, the fields that its run begins with.

        Returns:
            The id of the work.
        """
        identity = uuid.uuid4().hex
        now = time.time()
        record = {**record, "id": identity, "created_at": datetime.fromtimestamp(now, UTC).isoformat()}
        with self.redis.pipeline(transaction=True) as transaction:
            transaction.hset(f"tandem:{kind}:{identity}", mapping=_packed({**record, "backends": list(runs)}))
            transaction.zadd(f"tandem:{kind}s", {identity: now})
            for backend, fields in runs.items():
                run = {"status": QUEUED, "error": None, "overlapped": False, **fields}
                transaction.hset(f"tandem:{kind}:{identity}:{backend}", mapping=_packed(run))
                payload = json.dumps({"kind": kind, "backend": backend, **record}, allow_nan=False)
                queue = Queue(backend, connection=self.redis, serializer="json")
                job = Queue.prepare_data(
                    FUNCTION,
                    (payload, sign(payload, key)),
                    job_id=f"{kind}-{identity}-{backend}",
                    description=f"{kind} {identity}",
                    timeout=self.timeout_s,
                    result_ttl=3600,
                    retry=JobRetry(max=RETRIES, interval=0, enqueue_at_front=True),
                )
                queue.enqueue_many([job], pipeline=transaction)
            transaction.execute()
        return identity

    def read(self, kind: str, identity: str) -> dict[str, Any]:
        """A record with its `status` and its `runs`, keyed by backend.

        Raises:
            NotFoundError: there is no such work.
        """
        record = _unpacked(self.redis.hgetall(f"tandem:{kind}:{identity}"))
        if not record:
            raise NotFoundError(f"there is no {kind} {identity[:80]!r}; GET /v1/{kind}s lists them")
        runs = {backend: Run(self.redis, kind, identity, backend).read() for backend in record.pop("backends")}
        comparisons = _unpacked(self.redis.hgetall(f"tandem:{kind}:{identity}:comparisons"))
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


class Run:
    """One backend's share of some work, as its trainer reports it.

    A run can come to be executed twice, when a trainer was thought dead and
    was not. Each execution signs in with a number of its own; the earlier one
    is told so at its next report, and stops.
    """

    def __init__(self, redis: Redis, kind: str, identity: str, backend: str) -> None:
        self.redis = redis
        self.work = f"tandem:{kind}:{identity}"
        self.key = f"{self.work}:{backend}"
        self.execution = uuid.uuid4().hex

    def read(self) -> dict[str, Any]:
        run = _unpacked(self.redis.hgetall(self.key))
        run.pop("execution", None)
        if "epochs" in run:
            entries = cast(list[bytes], self.redis.lrange(f"{self.key}:history", 0, -1))
            run["history"] = [json.loads(entry) for entry in entries]
            run["epoch"] = len(entries)
        return run

    def start(self, **fields: Any) -> bool:
        """Sign in; False when the run has already ended and nothing is left to do."""
        if self._field("status") in FINAL:
            return False
        with self.redis.pipeline(transaction=True) as transaction:
            started = {**fields, "status": RUNNING, "execution": self.execution}
            transaction.hset(self.key, mapping=_packed(started))
            transaction.delete(f"{self.key}:history")
            transaction.sadd(_RUNNING_KEY, self.key)
            transaction.execute()
        self._mark_overlaps()
        return True

    def _mark_overlaps(self) -> None:
        """Two runs at once share the machine: both say so, for neither's figures are its own."""
        for other in cast(set[bytes], self.redis.smembers(_RUNNING_KEY)):
            key = other.decode()
            if key != self.key and _unpacked(self.redis.hgetall(key)).get("status") == RUNNING:
                self.redis.hset(key, mapping=_packed({"overlapped": True}))
                self.redis.hset(self.key, mapping=_packed({"overlapped": True}))

    def report_epoch(self, entry: dict[str, Any]) -> None:
        """Append a finished epoch to the history.

        Raises:
            SupersededError: another execution has taken this run over.
        """
        self._check_execution()
        self.redis.rpush(f"{self.key}:history", json.dumps(entry, allow_nan=False))

    def report(self, **fields: Any) -> None:
        """Set fields of the run."""
        self.redis.hset(self.key, mapping=_packed(fields))

    def report_comparison(self, backends: list[str], comparison: dict[str, Any]) -> None:
        """Add the comparison of a pair to the work."""
        self.redis.hset(f"{self.work}:comparisons", ",".join(backends), json.dumps(comparison, allow_nan=False))

    def finish(self, status: str, **fields: Any) -> None:
        """Report the end; see `report_epoch` for the error."""
        self._check_execution()
        self.settle(status, **fields)

    def settle(self, status: str, **fields: Any) -> None:
        """Write a status on behalf of a trainer that can no longer do so itself."""
        with self.redis.pipeline(transaction=True) as transaction:
            transaction.hset(self.key, mapping=_packed({"status": status, **fields}))
            transaction.srem(_RUNNING_KEY, self.key)
            transaction.execute()

    def _check_execution(self) -> None:
        if self._field("execution") != self.execution:
            raise SupersededError("another execution has taken this run over")

    def _field(self, name: str) -> Any:
        value = cast(bytes | None, self.redis.hget(self.key, name))
        return None if value is None else json.loads(value)


def _packed(fields: dict[str, Any]) -> dict[Any, Any]:
    return {name: json.dumps(value, allow_nan=False) for name, value in fields.items()}


def _unpacked(fields: Any) -> dict[str, Any]:
    return {name.decode(): json.loads(value) for name, value in fields.items()}
