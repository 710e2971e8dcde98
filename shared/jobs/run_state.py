"""One backend's share of some work: its state in Redis, as its trainer reports it.

    tandem:<kind>:<id>:<backend>            hash: a run, one JSON per field
    tandem:<kind>:<id>:<backend>:history    list of JSON, one per finished epoch
    tandem:<kind>:<id>:comparisons          hash: "<backend>,<backend>" -> JSON
    tandem:running                          set of the run keys at work now
    tandem:throughput                       hash: backend -> examples per second in the newest epoch of any run

A run may be written by several at once: its trainer, a second trainer that
thought the first one dead, a parent whose work horse died, and the gateway
that cancels. So whatever ends or hands over a run is written under a
condition, in one step that Redis carries out whole.
"""

import contextlib
import json
import uuid
from typing import Any, cast

from redis import Redis

from shared.errors import SupersededError

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
OPEN = (QUEUED, RUNNING)

THROUGHPUT_KEY = "tandem:throughput"
_RUNNING_KEY = "tandem:running"
# KEYS[1]: a run. ARGV[1]: {field: [values it may have]}. The rest: fields to write if each has one of them.
_WRITE_IF = """
for field, allowed in pairs(cjson.decode(ARGV[1])) do
  local held, fits = redis.call('HGET', KEYS[1], field), false
  for _, value in ipairs(allowed) do fits = fits or held == value end
  if not fits then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""


class Run:
    """A run by its key; `execution` is the sign of this execution alone.

    A run can come to be executed twice, when a trainer was thought dead and
    was not. Each execution signs in with a number of its own; the earlier one
    is told so at its next report, and stops. So is one that was cancelled.
    """

    def __init__(self, redis: Redis, kind: str, identity: str, backend: str) -> None:
        self.redis = redis
        self.kind, self.identity, self.backend = kind, identity, backend
        self.work = f"tandem:{kind}:{identity}"
        self.key = f"{self.work}:{backend}"
        self.execution = uuid.uuid4().hex

    def read(self) -> dict[str, Any]:
        run = unpacked(self.redis.hgetall(self.key))
        for internal in ("execution", "publishing"):
            run.pop(internal, None)
        if "epochs" in run:
            entries = cast(list[bytes], self.redis.lrange(f"{self.key}:history", 0, -1))
            run["history"] = [json.loads(entry) for entry in entries]
            run["epoch"] = len(entries)
        return run

    def start(self, **fields: Any) -> bool:
        """Sign in; False when the run has already ended and nothing is left to do."""
        started = {**fields, "status": RUNNING, "execution": self.execution, "publishing": False}
        if not self._write_if({"status": OPEN}, started):
            return False
        self.redis.delete(f"{self.key}:history")
        self.redis.sadd(_RUNNING_KEY, self.key)
        self._mark_overlaps()
        return True

    def _mark_overlaps(self) -> None:
        """Two runs at once share the machine: both say so, for neither's figures are its own."""
        for other in cast(set[bytes], self.redis.smembers(_RUNNING_KEY)):
            key = other.decode()
            if key != self.key and unpacked(self.redis.hgetall(key)).get("status") == RUNNING:
                self.redis.hset(key, mapping=packed({"overlapped": True}))
                self.redis.hset(self.key, mapping=packed({"overlapped": True}))

    def report(self, **fields: Any) -> None:
        """Set fields of the run.

        Raises:
            SupersededError: another execution has taken this run over, or it was cancelled.
        """
        if not self._write_if({"execution": (self.execution,), "status": (RUNNING,)}, fields):
            raise SupersededError("another execution has taken this run over, or it was cancelled")

    def report_epoch(self, entry: dict[str, Any]) -> None:
        """Append a finished epoch to the history; see `report` for the error."""
        self.report(status=RUNNING)  # nothing new, but it asks whether the run is still ours
        self.redis.rpush(f"{self.key}:history", json.dumps(entry, allow_nan=False))

    def report_comparison(self, backends: list[str], comparison: dict[str, Any]) -> None:
        """Add the comparison of a pair to the work."""
        self.redis.hset(f"{self.work}:comparisons", ",".join(backends), json.dumps(comparison, allow_nan=False))

    def claim_publication(self) -> None:
        """From here on the run is not cancelled any more; see `report` for the error."""
        self.report(publishing=True)

    def finish(self, status: str, **fields: Any) -> None:
        """Report the end; see `report` for the error."""
        self.report(status=status, **fields)
        self.redis.srem(_RUNNING_KEY, self.key)

    def fail(self, error: str) -> None:
        """Report the end of an execution that failed; one that was superseded has nothing to report."""
        with contextlib.suppress(SupersededError):
            self.finish(FAILED, error=error)

    def settle(self, status: str, **fields: Any) -> bool:
        """Write a status on behalf of a trainer that can no longer do so itself; False if the run had ended."""
        return self._write_open({"status": OPEN}, {"status": status, **fields})

    def cancel(self) -> bool:
        """End the run here and now; False if it had ended, or is just being published."""
        return self._write_open({"status": OPEN, "publishing": (False,)}, {"status": CANCELLED, "execution": None})

    def _write_open(self, conditions: dict[str, tuple[Any, ...]], fields: dict[str, Any]) -> bool:
        written = self._write_if(conditions, fields)
        if written:
            self.redis.srem(_RUNNING_KEY, self.key)
        return written

    def _write_if(self, conditions: dict[str, tuple[Any, ...]], fields: dict[str, Any]) -> bool:
        allowed = {field: [json.dumps(value) for value in values] for field, values in conditions.items()}
        flat = [part for pair in packed(fields).items() for part in pair]
        return bool(self.redis.eval(_WRITE_IF, 1, self.key, json.dumps(allowed), *flat))


def is_open(redis: Redis, kind: str, identity: str) -> bool:
    """Whether any run of some work has not ended."""
    work = f"tandem:{kind}:{identity}"
    backends = json.loads(cast(bytes | None, redis.hget(work, "backends")) or b"[]")
    statuses = [json.loads(cast(bytes, redis.hget(f"{work}:{backend}", "status"))) for backend in backends]
    return any(status in OPEN for status in statuses)


def packed(fields: dict[str, Any]) -> dict[Any, Any]:
    return {name: json.dumps(value, allow_nan=False) for name, value in fields.items()}


def unpacked(fields: Any) -> dict[str, Any]:
    return {name.decode(): json.loads(value) for name, value in fields.items()}
