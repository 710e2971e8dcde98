"""List the work of a kind, newest first, page by page. Each page says where the next one begins.

The ids of a kind are kept in a sorted set, by time of submission. It may hold ids of expired work, which pages skip. A
search looks at the records one after the other, so one page of it looks at a bounded number of them. What it has seen
of ended work is kept, because it never changes.
"""

from dataclasses import dataclass
from typing import Generic, cast

from redis import Redis

from shared.errors import InvalidRequestError
from shared.jobs.kinds import JobRecord, JobT, Kind, PairT, RunT
from shared.jobs.records import read_records
from shared.jobs.search_texts import SearchTexts

CHUNK = 100  # records that are read at once
MAX_SEARCHED = 1000  # records that one page of a search looks at
MAX_SKIPPED = 20_000  # ids of expired work that one page skips
# KEYS[1]: the sorted set. ARGV: the id behind which to begin, or "" for the newest, and how many ids to return.
# Returns nothing if the id is not in the set.
_OLDER = """
local rank = -1
if ARGV[1] ~= '' then rank = redis.call('ZREVRANK', KEYS[1], ARGV[1]) end
if not rank then return nil end
return redis.call('ZREVRANGE', KEYS[1], rank + 1, rank + tonumber(ARGV[2]))
"""

_texts = SearchTexts()  # of this process


@dataclass(frozen=True)
class PageRequest:
    """Which records a page has.

    Attributes:
        limit: how many at most.
        before: the id of a record: only older ones are listed. None begins with the newest.
        search: words, separated by spaces. Each has to occur in one of the texts that `JobPayload.search_terms`
            returns, in the name of a backend, or in the status. Upper and lower case are alike. Empty means all.
        newest_epoch_only: whether the history of each training has only its newest epoch.
    """

    limit: int
    before: str | None = None
    search: str = ""
    newest_epoch_only: bool = False


@dataclass(frozen=True)
class JobPage(Generic[JobT, RunT, PairT]):
    """A part of the list of all work of a kind.

    Attributes:
        records: newest first.
        next: the `before` of the next page; None if this page is the last one. A search that has looked at
            MAX_SEARCHED records returns what it has found, which may be nothing, and where to go on.
    """

    records: list[JobRecord[JobT, RunT, PairT]]
    next: str | None


def read_page(redis: Redis, kind: Kind[JobT, RunT, PairT], page: PageRequest) -> JobPage[JobT, RunT, PairT]:
    """Return a page of the work of a kind.

    Raises:
        InvalidRequestError: there is no work with the id `before`.
    """
    words = page.search.casefold().split()
    found: list[JobRecord[JobT, RunT, PairT]] = []
    before, looked_at = page.before or "", 0
    # One record more than the page has says whether there is a next page.
    while len(found) <= page.limit:
        if looked_at >= (MAX_SEARCHED if words else MAX_SKIPPED):
            return JobPage(found, before)
        size = CHUNK if words else min(page.limit + 1 - len(found), CHUNK)
        identities = _older(redis, kind.name, before, size)
        if not identities:
            return JobPage(found, None)
        if words:
            hits = _texts.find(redis, kind, identities, words)
            while hits and (room := page.limit + 1 - len(found)) > 0:  # the record of a hit may have expired
                found += read_records(redis, kind, hits[:room], page.newest_epoch_only)
                hits = hits[room:]
        else:
            found += read_records(redis, kind, identities, page.newest_epoch_only)
        before, looked_at = identities[-1], looked_at + len(identities)
    found = found[: page.limit]
    return JobPage(found, found[-1].job.id)


def _older(redis: Redis, kind: str, before: str, count: int) -> list[str]:
    """Return the next ids behind an id, newest first.

    Raises:
        InvalidRequestError: there is no such id.
    """
    identities = cast(list[bytes] | None, redis.eval(_OLDER, 1, f"tandem:{kind}s", before, count))
    if identities is None:
        raise InvalidRequestError(f"before: there is no {kind} {before!r}, or its record has expired: leave it out")
    return [identity.decode() for identity in identities]
