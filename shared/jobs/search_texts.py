"""The texts by which a list of work is searched.

A search reads only what it compares, and not the results and histories. The texts of ended work never change again, so
a process keeps them: the next search asks Redis only for work that is new or has not ended.
"""

from collections import OrderedDict
from threading import Lock
from typing import cast

from pydantic_core import from_json
from redis import Redis

from shared.jobs.kinds import JobT, Kind, PairT, RunT
from shared.jobs.records import overall_status
from shared.jobs.run_state import OPEN, unpacked

MAX_KEPT = 50_000  # texts; each takes about 400 bytes
SEPARATOR = "\0"  # no word of a search has it


class SearchTexts:
    """Finds work by words. Any thread may use it."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()  # id -> text of ended work
        self._lock = Lock()

    def find(self, redis: Redis, kind: Kind[JobT, RunT, PairT], identities: list[str], words: list[str]) -> list[str]:
        """Return the ids of the work in whose text each word occurs, in the order of the ids.

        Args:
            redis: the connection.
            kind: the kind of work.
            identities: the ids. Those of expired work are not found.
            words: in lower case.
        """
        with self._lock:
            texts = {identity: self._texts[identity] for identity in identities if identity in self._texts}
        unknown = [identity for identity in identities if identity not in texts]
        if unknown:
            ended, unfinished = _read_texts(redis, kind, unknown)
            texts |= ended | unfinished
            self._keep(ended)
        return [identity for identity in identities if all(word in texts.get(identity, "") for word in words)]

    def _keep(self, texts: dict[str, str]) -> None:
        with self._lock:
            self._texts.update(texts)
            while len(self._texts) > MAX_KEPT:
                self._texts.popitem(last=False)


def _read_texts(
    redis: Redis, kind: Kind[JobT, RunT, PairT], identities: list[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return id -> text of the work that has ended, and of the work that has not. The texts are in lower case."""
    with redis.pipeline(transaction=False) as pipeline:
        for identity in identities:
            pipeline.hgetall(f"tandem:{kind.name}:{identity}")
        records = dict(zip(identities, map(unpacked, pipeline.execute()), strict=True))
        backends = {identity: record.pop("backends", []) for identity, record in records.items()}
        for identity in identities:
            for backend in backends[identity]:
                pipeline.hget(f"tandem:{kind.name}:{identity}:{backend}", "status")
        found = iter(cast(list[bytes | None], pipeline.execute()))
    ended: dict[str, str] = {}
    unfinished: dict[str, str] = {}
    for identity in identities:
        statuses = [next(found) for _ in backends[identity]]
        if not records[identity] or None in statuses:
            continue  # expired
        job = kind.job.model_validate({**records[identity], "kind": kind.name})
        overall = overall_status(from_json(status) for status in statuses if status)
        text = SEPARATOR.join((*job.search_terms(), overall, *backends[identity])).casefold()
        (unfinished if overall in OPEN else ended)[identity] = text
    return ended, unfinished
