"""The state of one backend's run, kept in Redis.

    tandem:<kind>:<id>:<backend>            hash: a run, one JSON value per field
    tandem:<kind>:<id>:<backend>:history    list of JSON, one entry per finished epoch
    tandem:<kind>:<id>:comparisons          hash: "<backend>,<backend>" -> JSON
    tandem:running                          set of the keys of all runs that are being executed
    tandem:throughput                       hash: backend -> examples per second in the newest epoch of any run

Several processes may write one run: its trainer, a second trainer that took the first one for dead, a parent process
whose work horse died, and the gateway when a client cancels. Therefore every write that ends a run, or hands it over,
has a condition. A Lua script checks the condition and writes in one atomic step.
"""

import contextlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from redis import Redis

from shared.errors import SupersededError
from shared.jobs.kinds import RunT
from shared.jobs.payloads import Status
from shared.jobs.results import Epoch, RunState

QUEUED: Final = "queued"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
OPEN: tuple[Status, ...] = (QUEUED, RUNNING)

THROUGHPUT_KEY = "tandem:throughput"
HISTORY_FIELDS = {"epoch", "history"}  # of a TrainingRun: read from the list of epochs, not from the hash
_RUNNING_KEY = "tandem:running"
# KEYS[1]: a run. ARGV[1]: {field: [allowed values]}. Other arguments: the fields to write if all conditions hold.
_WRITE_IF = """
for field, allowed in pairs(cjson.decode(ARGV[1])) do
  local held, fits = redis.call('HGET', KEYS[1], field), false
  for _, value in ipairs(allowed) do fits = fits or held == value end
  if not fits then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""

Conditions = Mapping[str, tuple[object, ...]]  # field -> the values that it may have


class Run:
    """One backend's run of some work: reads and writes its state.

    A run may be executed twice, when its trainer was taken for dead and was alive. Each `Run` object has its own
    execution number, which `start` writes. A later execution overwrites the number. The earlier execution then gets a
    SupersededError at its next report and stops. The same error stops a run that was cancelled.
    """

    def __init__(
        self, redis: Redis, kind: str, identity: str, backend: str, state: type[RunState] | None = None
    ) -> None:
        """Name a run; nothing is read or written yet.

        Args:
            redis: the connection.
            kind: the kind of work.
            identity: the id of the work.
            backend: the backend whose run this is.
            state: the class of the run's state. Reports of fields that it does not have are refused. Without a
                class, every field is accepted.
        """
        self.redis = redis
        self.kind, self.identity, self.backend = kind, identity, backend
        self.work = f"tandem:{kind}:{identity}"
        self.key = f"{self.work}:{backend}"
        self.execution = uuid.uuid4().hex
        self._state = state

    def read(self, state: type[RunT]) -> RunT:
        """Return the run's state; for a training with the history of its epochs."""
        fields = unpacked(self.redis.hgetall(self.key))
        if "history" in state.model_fields:
            entries = cast(list[bytes], self.redis.lrange(f"{self.key}:history", 0, -1))
            fields |= {"history": [json.loads(entry) for entry in entries], "epoch": len(entries)}
        return state.model_validate(fields)

    def start(self) -> bool:
        """Begin an execution. Return False if the run has already ended, so that there is nothing to do."""
        started = {"status": RUNNING, "execution": self.execution, "publishing": False}
        if not self._write_if({"status": OPEN}, started):
            return False
        self.redis.delete(f"{self.key}:history")
        self.redis.sadd(_RUNNING_KEY, self.key)
        self._mark_overlaps()
        return True

    def _mark_overlaps(self) -> None:
        """Mark this run and all other running ones as overlapped: they share the machine."""
        for other in cast(set[bytes], self.redis.smembers(_RUNNING_KEY)):
            key = other.decode()
            if key != self.key and unpacked(self.redis.hgetall(key)).get("status") == RUNNING:
                self.redis.hset(key, mapping=packed({"overlapped": True}))
                self.redis.hset(self.key, mapping=packed({"overlapped": True}))

    def report(self, **fields: object) -> None:
        """Set fields of the run.

        Args:
            fields: JSON-able values, pydantic models included.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
            TypeError: the run's class has no such field.
        """
        if self._state and (unknown := fields.keys() - self._state.model_fields.keys()):
            raise TypeError(f"{self._state.__name__} has no field {', '.join(sorted(unknown))}")
        self._write_own(fields)

    def report_epoch(self, entry: Epoch) -> None:
        """Append a finished epoch to the history.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
        """
        self._write_own({"status": RUNNING})  # nothing changes, but it raises if the run is no longer ours
        self.redis.rpush(f"{self.key}:history", _dumps(entry))

    def report_throughput(self, examples_per_second: float) -> None:
        """Set the backend's newest training throughput, which `/metrics` shows."""
        self.redis.hset(THROUGHPUT_KEY, self.backend, str(examples_per_second))

    def report_comparison(self, backends: list[str], comparison: BaseModel) -> None:
        """Add the comparison of a pair of backends to the work."""
        self.redis.hset(f"{self.work}:comparisons", ",".join(backends), _dumps(comparison))

    def claim_publication(self) -> None:
        """Begin to publish: from now on the run cannot be cancelled.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
        """
        self._write_own({"publishing": True})

    def finish(self, status: Status, **fields: object) -> None:
        """End the run with a status and its last fields; raises as `report` does."""
        self.report(status=status, **fields)
        self.redis.srem(_RUNNING_KEY, self.key)

    def fail(self, error: str) -> None:
        """End the run as failed. A superseded execution changes nothing."""
        with contextlib.suppress(SupersededError):
            self.finish(FAILED, error=error)

    def settle(self, status: Status, error: str | None) -> bool:
        """Set `queued` or `failed` for a worker process that died. Return False if the run had already ended."""
        return self._write_open({"status": OPEN}, {"status": status, "error": error})

    def cancel(self) -> bool:
        """End the run as cancelled. Return False if it had already ended, or is being published."""
        return self._write_open({"status": OPEN, "publishing": (False,)}, {"status": CANCELLED, "execution": None})

    def _write_own(self, fields: Mapping[str, object]) -> None:
        """Write fields if this execution still owns the run, else raise SupersededError."""
        if not self._write_if({"execution": (self.execution,), "status": (RUNNING,)}, fields):
            raise SupersededError("another execution has taken this run over, or it was cancelled")

    def _write_open(self, conditions: Conditions, fields: Mapping[str, object]) -> bool:
        written = self._write_if(conditions, fields)
        if written:
            self.redis.srem(_RUNNING_KEY, self.key)
        return written

    def _write_if(self, conditions: Conditions, fields: Mapping[str, object]) -> bool:
        allowed = {field: [json.dumps(value) for value in values] for field, values in conditions.items()}
        flat = [part for pair in packed(fields).items() for part in pair]
        return bool(self.redis.eval(_WRITE_IF, 1, self.key, json.dumps(allowed), *flat))


def is_open(redis: Redis, kind: str, identity: str) -> bool:
    """Return whether any run of some work has not ended."""
    work = f"tandem:{kind}:{identity}"
    backends = json.loads(cast(bytes | None, redis.hget(work, "backends")) or b"[]")
    statuses = [json.loads(cast(bytes, redis.hget(f"{work}:{backend}", "status"))) for backend in backends]
    return any(status in OPEN for status in statuses)


def packed(fields: Mapping[str, object]) -> dict[Any, Any]:
    """Return the fields of a Redis hash: each value as JSON.

    Raises:
        ValueError: a number is not finite.
    """
    return {name: _dumps(value) for name, value in fields.items()}


def unpacked(fields: Any) -> dict[str, Any]:
    """Return the fields of a Redis hash as Python values: the inverse of `packed`."""
    return {name.decode(): json.loads(value) for name, value in fields.items()}


def _dumps(value: object) -> str:
    return json.dumps(to_jsonable_python(value), allow_nan=False)
