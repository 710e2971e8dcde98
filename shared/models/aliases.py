"""Names for versions of a model, in Redis: `stable` is moved to release a version, and back to withdraw it."""

from typing import cast

from redis import Redis

from shared.models.versions import Alias


class Aliases:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def of(self, name: str) -> dict[str, int]:
        """A model's aliases, and the version that each means."""
        found = cast(dict[bytes, bytes], self._redis.hgetall(f"tandem:aliases:{name}"))
        return {alias.decode(): int(version) for alias, version in found.items()}

    def move(self, name: str, alias: Alias, version: int) -> None:
        """Let an alias mean a version from now on."""
        self._redis.hset(f"tandem:aliases:{name}", alias, version)
