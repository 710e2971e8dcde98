"""Aliases of a model's versions, stored in Redis.

The alias `stable` is moved to a version to release it, and moved back to withdraw it. A move can depend on where the
alias is: then it does not undo a move that somebody else made.

    tandem:aliases:<name>     hash: alias -> version
    tandem:deleting:<name>    hash: "<version>:<backend>" -> the id of the deletion

A version whose deletion is queued cannot become `stable`, and the deletion of the `stable` version cannot be queued.
Each of the two writes one of the keys and watches the other one. So one of two simultaneous requests is refused.
A mark in the second key counts as long as the run of its deletion has not ended. Old marks are removed when one of the
two keys is written, and when the deletion is read.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, WatchError

from shared.errors import ConflictError, UnavailableError
from shared.models.versions import Alias

MAX_RACES = 100  # how often a write is repeated because another request changed the same keys
OPEN_STATUSES = (b'"queued"', b'"running"')


class Aliases:
    """The aliases of all models, and the versions that are being deleted.

    Args:
        redis: a connection without `decode_responses`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def of(self, name: str) -> dict[str, int]:
        """Return a model's aliases, and the version that each one refers to."""
        found = cast(dict[bytes, bytes], self._redis.hgetall(_aliases_key(name)))
        return {alias.decode(): int(version) for alias, version in found.items()}

    def move(
        self,
        name: str,
        alias: Alias,
        version: int | None,
        check_version: Callable[[], object],
        *,
        expected: Sequence[int | None] | None = None,
        is_done: Callable[[Pipeline], bool] | None = None,
        also_write: Callable[[Pipeline], object] | None = None,
    ) -> None:
        """Create an alias of a model, move it to another version, or remove it.

        Args:
            name: the model.
            alias: the alias.
            version: what it will refer to; None removes it.
            check_version: called while no deletion can be queued; raises if the version does not exist.
            expected: the versions that the alias may refer to now, None for an alias that does not exist. Without a
                list, every version may be there.
            is_done: watches and reads further keys, before anything is checked. If it returns True, nothing is done.
            also_write: adds commands to the transaction that moves the alias.

        Raises:
            ConflictError: the alias refers to another version than expected, or the deletion of the version is queued.
            UnavailableError: other requests changed the same keys again and again.
        """
        for _ in range(MAX_RACES):
            with self._redis.pipeline() as transaction:
                try:
                    transaction.watch(_deleting_key(name), _aliases_key(name))  # type: ignore[no-untyped-call]
                    if is_done and is_done(transaction):
                        return
                    if expected is not None:
                        _check_expected(transaction, name, alias, expected)
                    open_marks, old_marks = _read_marks(transaction, name)
                    check_version()
                    if any(mark.partition(":")[0] == str(version) for mark in open_marks):
                        raise ConflictError(
                            f"version {version} of {name} is being deleted: choose another version for {alias}"
                        )
                    transaction.multi()
                    if version is None:
                        transaction.hdel(_aliases_key(name), alias)
                    else:
                        transaction.hset(_aliases_key(name), alias, str(version))
                    if old_marks:
                        transaction.hdel(_deleting_key(name), *old_marks)
                    if also_write:
                        also_write(transaction)
                    transaction.execute()
                    return
                except WatchError:
                    continue
        raise UnavailableError("too many requests change this model at the same time: try again in a moment")

    def remove_old_marks(self, name: str) -> None:
        """Remove the marks of deletions that have ended. Nothing depends on it, so an error of Redis is ignored."""
        with contextlib.suppress(RedisError), self._redis.pipeline() as transaction:
            transaction.watch(_deleting_key(name))  # type: ignore[no-untyped-call]
            _, old_marks = _read_marks(transaction, name)
            if old_marks:
                transaction.multi()
                transaction.hdel(_deleting_key(name), *old_marks)
                transaction.execute()

    @staticmethod
    def check_deletable(transaction: Pipeline, name: str, version: int) -> None:
        """Check that no alias refers to a version, and let the transaction fail if that changes.

        Raises:
            ConflictError: an alias does.
        """
        transaction.watch(_aliases_key(name))  # type: ignore[no-untyped-call]
        found = cast(dict[bytes, bytes], transaction.hgetall(_aliases_key(name)))
        for alias, aliased in found.items():
            if int(aliased) == version:
                raise ConflictError(f"version {version} of {name} is {alias.decode()}: move the alias first")

    @staticmethod
    def mark_deletion(
        transaction: Pipeline, name: str, version: int, identity: str, backends: list[str], keep_s: int
    ) -> None:
        """Add to a transaction: the deletion of a version is queued.

        Args:
            transaction: a transaction that has called `check_deletable`.
            name: the model.
            version: the version.
            identity: the id of the deletion.
            backends: the backends whose model is deleted.
            keep_s: seconds after which the marks expire.
        """
        key = _deleting_key(name)
        transaction.hset(key, mapping={f"{version}:{backend}": identity for backend in backends})
        transaction.expire(key, keep_s)


def _check_expected(transaction: Pipeline, name: str, alias: Alias, expected: Sequence[int | None]) -> None:
    """Check what an alias refers to now.

    Raises:
        ConflictError: it refers to another version than expected.
    """
    found = cast(bytes | None, transaction.hget(_aliases_key(name), alias))
    now = None if found is None else int(found)
    if now not in expected:
        held = f"is version {now}" if now else "does not exist"
        wanted = " or ".join(f"version {version}" if version else "no version" for version in expected)
        raise ConflictError(f"{alias} of {name} {held} now, and was expected to be {wanted}: it was moved meanwhile")


def _read_marks(transaction: Pipeline, name: str) -> tuple[list[str], list[str]]:
    """Return the marks of deletions that have not ended, and the marks of those that have."""
    open_marks: list[str] = []
    old_marks: list[str] = []
    for mark, identity in cast(dict[bytes, bytes], transaction.hgetall(_deleting_key(name))).items():
        backend = mark.decode().partition(":")[2]
        status = cast(bytes | None, transaction.hget(f"tandem:deletion:{identity.decode()}:{backend}", "status"))
        (open_marks if status in OPEN_STATUSES else old_marks).append(mark.decode())
    return open_marks, old_marks


def _aliases_key(name: str) -> str:
    return f"tandem:aliases:{name}"


def _deleting_key(name: str) -> str:
    return f"tandem:deleting:{name}"
