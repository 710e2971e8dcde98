"""Read submitted work and its runs from Redis, many records in two round trips."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json
from redis import Redis

from shared.jobs.kinds import JobRecord, JobT, Kind, PairT, RunT
from shared.jobs.payloads import Status
from shared.jobs.run_state import CANCELLED, FAILED, OPEN, QUEUED, RUNNING, SUCCEEDED, unpacked


def overall_status(statuses: Iterable[Status]) -> Status:
    """Return the status of work from those of its runs.

    Work ends when all its runs have ended. It then is failed if any run failed, else cancelled if any was cancelled.
    """
    found = set(statuses)
    if found & set(OPEN):
        return QUEUED if found == {QUEUED} else RUNNING
    if FAILED in found:
        return FAILED
    return CANCELLED if CANCELLED in found else SUCCEEDED


def read_records(
    redis: Redis, kind: Kind[JobT, RunT, PairT], identities: list[str], newest_epoch_only: bool = False
) -> list[JobRecord[JobT, RunT, PairT]]:
    """Return the records of work, in the order of the ids. Work that does not exist or has expired is left out.

    Runs may go on while they are read. A run writes its epochs and comparisons before it ends. They are read after its
    status, so the record of a run that has ended has all of them.

    Args:
        redis: the connection.
        kind: the kind of work.
        identities: the ids.
        newest_epoch_only: whether the history of each run has only its newest epoch.
    """
    first = -1 if newest_epoch_only else 0
    with redis.pipeline(transaction=False) as pipeline:
        for identity in identities:
            pipeline.hgetall(f"tandem:{kind.name}:{identity}")
        works = [unpacked(reply) for reply in pipeline.execute()]
        for identity, work in zip(identities, works, strict=True):
            for backend in work.get("backends", []):
                pipeline.hgetall(f"tandem:{kind.name}:{identity}:{backend}")
                pipeline.lrange(f"tandem:{kind.name}:{identity}:{backend}:history", first, -1)
            pipeline.hgetall(f"tandem:{kind.name}:{identity}:comparisons")
        replies = iter(pipeline.execute())
    found = []
    for work in works:
        states = {backend: _state(kind.run, next(replies), next(replies)) for backend in work.pop("backends", [])}
        comparisons = unpacked(next(replies))
        complete = {backend: state for backend, state in states.items() if state}
        if work and len(complete) == len(states):
            found.append(_record(kind, work, complete, comparisons))
    return found


def _state(state: type[RunT], fields: Any, history: list[bytes]) -> RunT | None:
    """Return the state of a run, for a training with the history of its epochs. Return None if it has expired."""
    if not fields:
        return None
    values = unpacked(fields)
    if "history" in state.model_fields:
        entries = from_json(b"[%b]" % b",".join(history))  # much faster than one after the other
        values |= {"history": entries, "epoch": entries[-1]["epoch"] if entries else 0}
    return state.model_validate(values)


def _record(
    kind: Kind[JobT, RunT, PairT], record: dict[str, Any], runs: dict[str, RunT], comparisons: dict[str, Any]
) -> JobRecord[JobT, RunT, PairT]:
    return JobRecord(
        job=kind.job.model_validate({**record, "kind": kind.name}),
        status=overall_status(run.status for run in runs.values()),
        runs=runs,
        comparisons=[kind.comparison.model_validate(comparisons[pair]) for pair in sorted(comparisons)],
    )
