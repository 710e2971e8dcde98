"""Aliases of a model's versions, stored in Redis.

The alias `stable` is moved to a version to release it, and moved back to withdraw it.
"""

from typing import cast

from redis import Redis

from shared.models.versions import Alias


class Aliases:
    """The aliases of all models, in the Redis hashes `tandem:aliases:{name}`.

    Args:
        redis: a connection without `decode_responses`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def of(self, name: str) -> dict[str, int]:
        """Return a model's aliases, and the version that each one refers to."""
        found = cast(dict[bytes, bytes], self._redis.hgetall(f"tandem:aliases:{name}"))
        return {alias.decode(): int(version) for alias, version in found.items()}

    def move(self, name: str, alias: Alias, version: int) -> None:
        """Create an alias of a model, or move it to another version."""
        self._redis.hset(f"tandem:aliases:{name}", alias, version)
