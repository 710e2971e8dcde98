"""Copies the records of jobs in Redis, so that a stack has as many as it would have after years.

A copy has every key, field and list entry of its original. Only its id, its time, and the name of its model differ.
"""

import json
import uuid
from datetime import UTC, datetime

from redis import Redis

KEEP_S = 30 * 86_400
SPACING_S = 60.0  # between the submissions of two copies
AT_ONCE = 500  # copies that are written in one round trip


def copy_records(redis: Redis, kind: str, original: str, count: int, names: int) -> list[str]:
    """Add copies of a job's record until the list of its kind has `count` entries.

    Args:
        redis: the connection, of a user that may do everything.
        kind: the kind of the job, as in its keys.
        original: the id of the job.
        count: how many entries the list has afterwards.
        names: over how many names of models the copies are spread.

    Returns:
        The ids of all entries of the list, oldest first.
    """
    index = f"tandem:{kind}s"
    has = redis.zcard(index)
    newest = redis.zrange(index, 0, 0, withscores=True)[0][1]
    hashes, histories = _read_original(redis, kind, original)
    # Copies are older than everything that is there, so that the newest entry is a real job.
    for first in range(has, count, AT_ONCE):
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(first, min(first + AT_ONCE, count)):
                identity, submitted_s = uuid.uuid4().hex, newest - SPACING_S * (number - has + 1)
                pipeline.zadd(index, {identity: submitted_s})
                for key, fields in hashes.items():
                    changed = {**fields, **_identify(fields, identity, submitted_s, number % max(1, names))}
                    pipeline.hset(f"tandem:{kind}:{identity}{key}", mapping=changed)
                    pipeline.expire(f"tandem:{kind}:{identity}{key}", KEEP_S)
                for key, entries in histories.items():
                    pipeline.rpush(f"tandem:{kind}:{identity}{key}", *entries)
                    pipeline.expire(f"tandem:{kind}:{identity}{key}", KEEP_S)
            pipeline.execute()
    return [identity.decode() for identity in redis.zrange(index, 0, -1)]


def _read_original(redis: Redis, kind: str, original: str) -> tuple[dict[str, dict], dict[str, list]]:
    """Return the hashes and the lists of a job, by what follows its id in their keys."""
    record = f"tandem:{kind}:{original}"
    backends = json.loads(redis.hget(record, "backends"))
    suffixes = ["", ":comparisons", *(f":{backend}" for backend in backends)]
    hashes = {suffix: redis.hgetall(record + suffix) for suffix in suffixes}
    lists = {f":{backend}:history": redis.lrange(f"{record}:{backend}:history", 0, -1) for backend in backends}
    return {key: found for key, found in hashes.items() if found}, {key: found for key, found in lists.items() if found}


def _identify(fields: dict, identity: str, submitted_s: float, name: int) -> dict[str, str]:
    """Return the fields of a record that differ from those of its original."""
    changed: dict[str, str] = {}
    if b"id" in fields and b"created_at" in fields:
        changed["id"] = json.dumps(identity)
        changed["created_at"] = json.dumps(datetime.fromtimestamp(submitted_s, UTC).isoformat())
        if b"name" in fields:
            changed["name"] = json.dumps(f"copy-{name}")
    return changed
