"""Which versions of uploaded datasets are read by jobs that have not ended."""

import json
from typing import cast

from redis import Redis

from shared.jobs.kinds import CERTIFICATE, EVALUATION, EXPORT, SEARCH, TRAINING
from shared.jobs.run_state import OPEN

KINDS = tuple(kind.name for kind in (TRAINING, EVALUATION, CERTIFICATE, EXPORT, SEARCH))  # a job names its version
MARGIN_S = 60  # a clock may have been set back since


def list_pinned_versions(redis: Redis, since_s: float) -> set[str]:
    """Return the versions that jobs read which have not ended.

    Args:
        redis: the connection.
        since_s: only jobs that were submitted later are looked at, in seconds since 1970.
    """
    open_values = {json.dumps(status).encode() for status in OPEN}
    pinned: set[str] = set()
    for kind in KINDS:
        found = cast(list[bytes], redis.zrevrangebyscore(f"tandem:{kind}s", "+inf", since_s - MARGIN_S))
        keys = [f"tandem:{kind}:{identity.decode()}" for identity in found]
        with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, ["data_version", "backends"])
            records = [
                (key, json.loads(version), json.loads(backends))
                for key, (version, backends) in zip(keys, pipeline.execute(), strict=True)
                if version and backends
            ]
            runs = [(f"{key}:{backend}", version) for key, version, names in records if version for backend in names]
            for run, _ in runs:
                pipeline.hget(run, "status")
            statuses = pipeline.execute()
        pinned |= {version for (_, version), status in zip(runs, statuses, strict=True) if status in open_values}
    return pinned
