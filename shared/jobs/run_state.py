"""The state of one backend's run, kept in Redis.

    tandem:<kind>:<id>:<backend>            hash: a run, one JSON value per field
    tandem:<kind>:<id>:<backend>:history    list of JSON, one entry per finished epoch
    tandem:<kind>:<id>:comparisons          hash: "<backend>,<backend>" -> JSON
    tandem:running                          hash: the key of each run that is being executed -> the number of its start;
                                            and `starts`, the number of the newest start of any run
    tandem:throughput                       hash: backend -> examples per second in the newest epoch of any run

Several processes may write one run: its trainer, a second trainer that took the first one for dead, a parent process
whose work horse died, and the gateway when a client cancels. Therefore every write that ends a run, or hands it over,
has a condition. A Lua script checks the condition and writes in one atomic step.

A trainer writes the keys of its own runs only. A run finds out by itself whether another run overlapped it: it sees the
others when it starts, and the number of the newest start tells it whether others have started since.

The keys of a run expire. Its field `keep_s` says how many seconds after the last change. Each script sets the time
anew.
"""

import contextlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import from_json, to_jsonable_python
from redis import Redis

from shared.errors import SupersededError
from shared.jobs.changes import SIGNAL_LUA
from shared.jobs.payloads import Status
from shared.jobs.results import Epoch, RunState

QUEUED: Final = "queued"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
OPEN: tuple[Status, ...] = (QUEUED, RUNNING)
SUPERSEDED = "another execution has taken this run over, or it was cancelled"

THROUGHPUT_KEY = "tandem:throughput"
HISTORY_FIELDS = {"epoch", "history"}  # of a TrainingRun: read from the list of epochs, not from the hash
RUNNING_KEY = "tandem:running"
# Ends each script. KEYS[1]: a run. The other keys expire with it. Whoever watches the run learns that it has changed.
_KEEP = f"""
{SIGNAL_LUA}
local keep = redis.call('HGET', KEYS[1], 'keep_s')
local function expire(key) if keep then redis.call('EXPIRE', key, keep) end end
"""
# Earlier versions kept a set under this key.
_CONVERT = """
if redis.call('TYPE', KEYS[2]).ok == 'set' then redis.call('DEL', KEYS[2]) end
"""
# KEYS: a run, the running ones. ARGV: {field: [allowed values]}, whether the run leaves the running ones ("1"), then
# the fields to write if all conditions hold.
_WRITE_IF = (
    _CONVERT
    + """
for field, allowed in pairs(cjson.decode(ARGV[1])) do
  local held, fits = redis.call('HGET', KEYS[1], field), false
  for _, value in ipairs(allowed) do fits = fits or held == value end
  if not fits then return 0 end
end
local began, newest = redis.call('HGET', KEYS[2], KEYS[1]), redis.call('HGET', KEYS[2], 'starts')
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if began and tonumber(newest) > tonumber(began) then redis.call('HSET', KEYS[1], 'overlapped', 'true') end
if ARGV[2] == '1' then redis.call('HDEL', KEYS[2], KEYS[1]) end
"""
    + _KEEP
    + "expire(KEYS[1]) return 1"
)
# KEYS: a run, the running ones, the run's history. ARGV: the id of the execution, whether the run is measured ("1"),
# then the fields to write.
# Returns the keys of the other running ones, or nothing if the run has ended.
_START = (
    _CONVERT
    + """
local status = redis.call('HGET', KEYS[1], 'status')
if status ~= '"queued"' and status ~= '"running"' then return nil end
local others = redis.call('HKEYS', KEYS[2])
if ARGV[2] ~= '1' then
  redis.call('HSET', KEYS[1], unpack(ARGV, 3))
elseif redis.call('HGET', KEYS[1], 'execution') ~= ARGV[1] then
  local before, newest = redis.call('HGET', KEYS[1], 'start'), redis.call('HGET', KEYS[2], 'starts')
  if before and newest and tonumber(newest) > tonumber(before) then
    redis.call('HSET', KEYS[1], 'overlapped', 'true')
  end
  local start = redis.call('HINCRBY', KEYS[2], 'starts', 1)
  redis.call('HSET', KEYS[2], KEYS[1], start)
  redis.call('HSET', KEYS[1], 'start', start, unpack(ARGV, 3))
  redis.call('DEL', KEYS[3])
end
"""
    + _KEEP
    + "expire(KEYS[1]) return others"
)
# KEYS: a run, its history. ARGV: the number of the epoch, and the epoch as JSON.
_APPEND = (
    _KEEP
    + """
if redis.call('LLEN', KEYS[2]) < tonumber(ARGV[1]) then redis.call('RPUSH', KEYS[2], ARGV[2]) end
expire(KEYS[2])
"""
)
# KEYS: a run, the comparisons of its work. ARGV: the pair, and the comparison as JSON.
_COMPARE = _KEEP + "redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) expire(KEYS[2])"

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
        self.history_key = f"{self.key}:history"
        self.execution = uuid.uuid4().hex
        self._state = state

    def start(self, is_measured: bool = True) -> bool:
        """Begin an execution. Return False if the run has already ended, so that there is nothing to do.

        Args:
            is_measured: whether the run computes by itself, so that it overlaps with others. A run that only waits for
                other jobs overlaps with none, and keeps its history when it is started again.
        """
        started = {"status": RUNNING, "execution": self.execution, "publishing": False}
        keys = (self.key, RUNNING_KEY, self.history_key)
        arguments = (json.dumps(self.execution), "1" if is_measured else "", *_flat(started))
        others = self.redis.eval(_START, len(keys), *keys, *arguments)
        if others is None:
            return False
        if is_measured and any(self._is_running(other.decode()) for other in cast(list[bytes], others)):
            self._write_own({"overlapped": True})
        return True

    def _is_running(self, key: str) -> bool:
        """Return whether a key belongs to another run that is being executed. A run that died may still be listed."""
        if key in (self.key, "starts"):
            return False
        return cast(bytes | None, self.redis.hget(key, "status")) == json.dumps(RUNNING).encode()

    def report(self, **fields: object) -> None:
        """Set fields of the run.

        Args:
            fields: JSON-able values, pydantic models included.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
            TypeError: the run's class has no such field.
        """
        self._check_fields(fields)
        self._write_own(fields)

    def read(self) -> dict[str, Any]:
        """Return the fields of the run that earlier executions, too, have written."""
        return unpacked(self.redis.hgetall(self.key))

    def check_is_ours(self) -> None:
        """Check that this execution still owns the run.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
        """
        if self.redis.hget(self.key, "execution") != json.dumps(self.execution).encode():
            raise SupersededError(SUPERSEDED)

    def report_epoch(self, entry: Epoch) -> None:
        """Append a finished epoch to the history.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
        """
        self._write_own({"status": RUNNING})  # nothing changes, but it raises if the run is no longer ours
        self.redis.eval(_APPEND, 2, self.key, self.history_key, entry.epoch, _dumps(entry))

    def report_throughput(self, examples_per_second: float) -> None:
        """Set the backend's newest training throughput, which `/metrics` shows."""
        self.redis.hset(THROUGHPUT_KEY, self.backend, str(examples_per_second))

    def report_comparison(self, backends: list[str], comparison: BaseModel) -> None:
        """Add the comparison of a pair of backends to the work."""
        pair = ",".join(backends)
        self.redis.eval(_COMPARE, 2, self.key, f"{self.work}:comparisons", pair, _dumps(comparison))

    def count_comparisons(self) -> int:
        """Return how many pairs of backends have been compared."""
        return self.redis.hlen(f"{self.work}:comparisons")

    def warn(self, warning: str) -> None:
        """Add a warning to the run, once.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
        """
        stored = cast(bytes | None, self.redis.hget(self.key, "warnings"))
        warnings = json.loads(stored) if stored else []
        if warning not in warnings:
            self.report(warnings=[*warnings, warning])

    def claim_publication(self) -> None:
        """Begin to publish: from now on the run cannot be cancelled.

        Raises:
            SupersededError: another execution has taken this run over, or the run was cancelled.
        """
        self._write_own({"publishing": True})

    def finish(self, status: Status, **fields: object) -> None:
        """End the run with a status and its last fields; raises as `report` does."""
        self._check_fields(fields)
        self._write_own({"status": status, **fields}, is_end=True)

    def fail(self, error: str) -> None:
        """End the run as failed. A superseded execution changes nothing."""
        with contextlib.suppress(SupersededError):
            self.finish(FAILED, error=error)

    def settle(self, status: Status, error: str | None = None) -> bool:
        """End the run from outside its execution. Return False if it had already ended."""
        return self._write_if({"status": OPEN}, {"status": status, "error": error}, is_end=True)

    def cancel(self) -> bool:
        """End the run as cancelled. Return False if it had already ended, or is being published."""
        cancelled = {"status": CANCELLED, "execution": None}
        return self._write_if({"status": OPEN, "publishing": (False,)}, cancelled, is_end=True)

    def _check_fields(self, fields: Mapping[str, object]) -> None:
        if self._state and (unknown := fields.keys() - self._state.model_fields.keys()):
            raise TypeError(f"{self._state.__name__} has no field {', '.join(sorted(unknown))}")

    def _write_own(self, fields: Mapping[str, object], is_end: bool = False) -> None:
        """Write fields if this execution still owns the run, else raise SupersededError."""
        if not self._write_if({"execution": (self.execution,), "status": (RUNNING,)}, fields, is_end):
            raise SupersededError(SUPERSEDED)

    def _write_if(self, conditions: Conditions, fields: Mapping[str, object], is_end: bool) -> bool:
        allowed = {field: [json.dumps(value) for value in values] for field, values in conditions.items()}
        arguments = (json.dumps(allowed), "1" if is_end else "", *_flat(fields))
        return bool(self.redis.eval(_WRITE_IF, 2, self.key, RUNNING_KEY, *arguments))


def is_open(redis: Redis, kind: str, identity: str) -> bool:
    """Return whether any run of some work has not ended."""
    work = f"tandem:{kind}:{identity}"
    backends = json.loads(cast(bytes | None, redis.hget(work, "backends")) or b"[]")
    statuses = [cast(bytes | None, redis.hget(f"{work}:{backend}", "status")) for backend in backends]
    return any(status is not None and json.loads(status) in OPEN for status in statuses)


def packed(fields: Mapping[str, object]) -> dict[Any, Any]:
    """Return the fields of a Redis hash: each value as JSON.

    Raises:
        ValueError: a number is not finite.
    """
    return {name: _dumps(value) for name, value in fields.items()}


def unpacked(fields: Any) -> dict[str, Any]:
    """Return the fields of a Redis hash as Python values: the inverse of `packed`."""
    return {name.decode(): from_json(value) for name, value in fields.items()}


def _flat(fields: Mapping[str, object]) -> list[str]:
    """Return the fields of a Redis hash as arguments of HSET."""
    return [part for field in packed(fields).items() for part in field]


def _dumps(value: object) -> str:
    return json.dumps(to_jsonable_python(value), allow_nan=False)
