"""Which worker performs which job: RQ's records of it, each changed in one atomic step.

An execution is one attempt of a worker to perform a job. RQ keeps these keys about a queue:

    rq:queue:<queue>                   list of job ids that wait
    rq:queue:<queue>:intermediate      list of job ids that a worker has taken and not claimed yet
    rq:wip:<queue>                     sorted set of "<job id>:<execution>": what is being performed
    rq:execution:<job id>:<execution>  hash: the worker, and its last heartbeat
    rq:worker:<worker>                 hash: a worker; and `:executions`, the set of what it performs
    rq:job:<job id>                    hash: the signed job, and how often it may be started again

RQ changes them one by one, and its workers look after abandoned jobs only between two jobs and under a lock that
outlives its owner. The scripts below replace these parts. A job is in exactly one of the first three keys at any
moment. Of several processes that want to move it, one succeeds. A process that dies before or after loses nothing.
Each script can be repeated if its reply was lost.
"""

import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from redis import Redis

from shared.jobs.payloads import Status
from shared.jobs.run_state import FAILED, RUNNING_KEY, packed

MAX_LOST = 10  # how often a job is queued again that no worker has begun

JOB_ID = re.compile(r"[a-z]+-[0-9a-f]{32}-([a-z0-9][a-z0-9_-]{0,62})")
"""`<kind>-<id>-<backend>`, as we name jobs. Its group is the backend."""

Move = Literal["requeued", "removed", "unchanged"]
REQUEUED: Final = "requeued"
REMOVED: Final = "removed"
UNCHANGED: Final = "unchanged"

# KEYS: intermediate, wip, execution, executions of the worker, job.
# ARGV: job id, "<job id>:<execution>", worker, time, then the fields of the execution.
_CLAIM = """
if redis.call('ZSCORE', KEYS[2], ARGV[2]) then return 1 end
if redis.call('EXISTS', KEYS[5]) == 0 or redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], '+inf', ARGV[2])
redis.call('HSET', KEYS[3], unpack(ARGV, 5))
redis.call('SADD', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[5], 'status', 'started', 'worker_name', ARGV[3])
return 1
"""
# KEYS: wip, execution. ARGV: "<job id>:<execution>", time.
_BEAT = """
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'last_heartbeat', ARGV[2])
return 1
"""
# KEYS: queue, intermediate, wip, job, run, running, execution, executions of the worker, worker, workers of the queue,
# workers, executions of the job, results of the job.
# ARGV: job id, "<job id>:<execution>" or "" if no worker has claimed the job, the heartbeat that must not have changed
# or "any", how to go on, the largest number of losses, the fields of a run that ends.
_END = """
local job, member, heartbeat, how = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if member == '' then
  if redis.call('LREM', KEYS[2], 1, job) == 0 then return 'unchanged' end
else
  local held = redis.call('HGET', KEYS[7], 'last_heartbeat') or 'none'
  if heartbeat ~= 'any' and heartbeat ~= held then return 'unchanged' end
  if redis.call('ZREM', KEYS[3], member) == 0 then return 'unchanged' end
  redis.call('DEL', KEYS[7])
  redis.call('SREM', KEYS[8], member)
  if heartbeat ~= 'any' then
    redis.call('DEL', KEYS[8], KEYS[9])
    redis.call('SREM', KEYS[10], KEYS[9])
    redis.call('SREM', KEYS[11], KEYS[9])
  end
end
local status = redis.call('HGET', KEYS[5], 'status')
local open = status == '"queued"' or status == '"running"'
local again = false
if open and how ~= 'end' and redis.call('EXISTS', KEYS[4]) == 1 then
  if how == 'free' then
    again = true
  else
    local field, limit = 'retries_left', 0
    if member == '' then field, limit = 'losses_left', ARGV[5] end
    local left = tonumber(redis.call('HGET', KEYS[4], field) or limit) or 0
    again = left > 0
    redis.call('HSET', KEYS[4], field, left - 1)
  end
end
local keep = redis.call('HGET', KEYS[5], 'keep_s')
if open then redis.call('HDEL', KEYS[6], KEYS[5]) end
if again then
  redis.call('HSET', KEYS[4], 'status', 'queued', 'worker_name', '')
  redis.call('LPUSH', KEYS[1], job)
  redis.call('HSET', KEYS[5], 'status', '"queued"', 'error', 'null', 'publishing', 'false')
else
  redis.call('DEL', KEYS[4], KEYS[12], KEYS[13])
  if open then redis.call('HSET', KEYS[5], unpack(ARGV, 6)) end
end
if open and keep then redis.call('EXPIRE', KEYS[5], keep) end
return again and 'requeued' or 'removed'
"""


@dataclass(frozen=True)
class ExecutionKey:
    """The identity of an execution.

    Attributes:
        job_id: `<kind>-<id>-<backend>`.
        execution: the execution's id; "" for a job that no worker has claimed.
        worker: the name of its worker; "" if it is not known.
    """

    job_id: str
    execution: str = ""
    worker: str = ""

    @property
    def member(self) -> str:
        """The execution's name in RQ's sets."""
        return f"{self.job_id}:{self.execution}" if self.execution else ""

    @property
    def redis_key(self) -> str:
        """The Redis key of the execution's hash. For a job that no worker has claimed there is none, but a name."""
        return f"rq:execution:{self.job_id}:{self.execution}"

    @property
    def run_key(self) -> str:
        """The Redis key of the run that the job belongs to."""
        kind, identity, backend = self.job_id.split("-", 2)
        return f"tandem:{kind}:{identity}:{backend}"

    def belongs_to(self, queue: str) -> bool:
        """Return whether the job's id is one that we give to jobs of this queue."""
        found = JOB_ID.fullmatch(self.job_id)
        return bool(found and found[1] == queue)

    @classmethod
    def of(cls, member: str, worker: str = "") -> "ExecutionKey":
        """Return the identity of an entry in RQ's sets: the inverse of `member`."""
        job_id, _, execution = member.rpartition(":")
        return cls(job_id, execution, worker)


def claim(redis: Redis, queue: str, job_id: str, worker: str) -> ExecutionKey | None:
    """Make a worker that has taken a job its performer. Return None if the job has been given to another worker."""
    key = ExecutionKey(job_id, uuid.uuid4().hex, worker)
    now = str(time.time())
    fields = {"id": key.execution, "job_id": job_id, "created_at": now, "last_heartbeat": now, "worker_name": worker}
    keys = (
        *(f"rq:queue:{queue}:intermediate", f"rq:wip:{queue}", key.redis_key),
        *(f"rq:worker:{worker}:executions", f"rq:job:{job_id}"),
    )
    flat = [part for field in fields.items() for part in field]
    return key if redis.eval(_CLAIM, len(keys), *keys, job_id, key.member, worker, now, *flat) else None


def beat(redis: Redis, queue: str, key: ExecutionKey) -> bool:
    """Tell that an execution goes on. Return False if the job has been taken away from it."""
    return bool(redis.eval(_BEAT, 2, f"rq:wip:{queue}", key.redis_key, key.member, str(time.time())))


def end(redis: Redis, queue: str, key: ExecutionKey, status: Status = FAILED, error: str | None = None) -> Move:
    """End an execution for good: remove everything that RQ keeps about its job.

    Args:
        redis: the connection.
        queue: the queue of the job.
        key: the execution.
        status: what a run becomes that has not ended.
        error: the reason, for such a run.
    """
    return _end(redis, queue, key, "any", "end", status, error)


def requeue(
    redis: Redis, queue: str, key: ExecutionKey, error: str, *, heartbeat: str = "any", is_free: bool = False
) -> Move:
    """Put the job of an execution that died at the front of its queue, unless it has died too often.

    Args:
        redis: the connection.
        queue: the queue of the job.
        key: the execution.
        error: the reason of the failure, for a run whose job has died too often.
        heartbeat: the execution's last heartbeat as it was observed, or "none". Nothing happens if it has changed
            since. "any" is for the execution's own worker.
        is_free: whether the job does not lose a retry.

    Returns:
        Whether the job is queued again, was removed because it has died too often or has ended, or was not this
        execution's any more.
    """
    return _end(redis, queue, key, heartbeat, "free" if is_free else "count", FAILED, error)


def _end(
    redis: Redis, queue: str, key: ExecutionKey, heartbeat: str, how: str, status: Status, error: str | None
) -> Move:
    job_id, worker = key.job_id, f"rq:worker:{key.worker or f'{queue}.unknown'}"
    keys = (
        *(f"rq:queue:{queue}", f"rq:queue:{queue}:intermediate", f"rq:wip:{queue}"),
        *(f"rq:job:{job_id}", key.run_key, RUNNING_KEY, key.redis_key),
        *(f"{worker}:executions", worker, f"rq:workers:{queue}", "rq:workers"),
        *(f"rq:executions:{job_id}", f"rq:results:{job_id}"),
    )
    ended = [part for field in packed({"status": status, "error": error}).items() for part in field]
    arguments = (job_id, key.member, heartbeat, how, MAX_LOST, *ended)
    return cast(Move, cast(bytes, redis.eval(_END, len(keys), *keys, *arguments)).decode())


def forget(redis: Redis, queue: str, key: ExecutionKey) -> None:
    """Remove the entry of a job that is not ours. Somebody else has put it into the queue."""
    redis.lrem(f"rq:queue:{queue}:intermediate", 0, key.job_id)
    if key.execution:
        redis.zrem(f"rq:wip:{queue}", key.member)


def read_status(redis: Redis, key: ExecutionKey) -> Status | None:
    """Return the status of the run that a job belongs to, or None if there is no such run."""
    stored: Any = redis.hget(key.run_key, "status")
    return cast(Status, json.loads(stored)) if stored else None
