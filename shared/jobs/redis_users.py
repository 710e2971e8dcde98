"""The users of Redis, and what each may do. `make up` and the containers write their list of users with this module.

Every service logs in as a user of its own. A rule of Redis names the commands, the keys and the channels that a user
may use (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/). Everything else is refused with
NOPERM. No service may read or change the configuration, load modules, write snapshots, or remove all records.

The passwords are random. Each lies in a file of its own, which only the service reads. Redis gets their checksums.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.jobs.changes import CHANGES_KEY
from shared.process import write_atomically

OPERATOR = "operator"
PASSWORD_BYTES = 32
_ID = "?" * 32  # the id of a job: in a pattern of Redis, each ? stands for one character
_TRANSACTIONS = ("eval", "exec", "multi", "discard", "watch", "unwatch")
_LOGIN = ("ping", "select", "info", "client|setname", "client|info")
_RECORDS = (
    *("exists", "type", "del", "expire", "get", "set"),
    *("hget", "hmget", "hgetall", "hset", "hdel", "hkeys", "hlen", "hincrby"),
    *("zadd", "zrem", "zrange", "zrevrange", "zrevrangebyscore", "zremrangebyscore", "zrevrank", "zscore", "zcard"),
    *("lpush", "rpush", "lrem", "lrange", "llen", "lpos", "sadd", "srem", "smembers"),
)
"""Commands that read or write one key. The patterns of keys decide what a user can do with them."""


@dataclass(frozen=True)
class RedisUser:
    """A user of Redis and its rights.

    Attributes:
        name: the user's name, which is the name of its service.
        commands: the commands that it may call; `command|subcommand` allows one subcommand only.
        keys: patterns of the keys that it may read and write.
        readable_keys: patterns of further keys that it may read.
        channels: patterns of the channels that it may publish to or subscribe to.
    """

    name: str
    commands: tuple[str, ...]
    keys: tuple[str, ...] = ()
    readable_keys: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def to_rule(self, password: str, has_read_only_keys: bool) -> str:
        """Return the user's line in a file of users.

        Args:
            password: the user's password. The line contains its checksum.
            has_read_only_keys: whether the server is Redis 7 or newer. Redis 6 knows no keys that may only be read.
                There, the user may write its `readable_keys`, too.
        """
        read_only = "%R~" if has_read_only_keys else "~"
        parts = [
            f"user {self.name} reset resetchannels on #{hashlib.sha256(password.encode()).hexdigest()}",
            *(f"~{key}" for key in self.keys),
            *(f"{read_only}{key}" for key in self.readable_keys),
            *(f"&{channel}" for channel in self.channels),
            "-@all",
            *(f"+{command}" for command in self.commands),
        ]
        return " ".join(parts)


DEFAULT_USER_RULE = "user default reset resetchannels off ~* &* +@all"
"""The rule of a client that has not logged in. The user is off, so such a client may do nothing.

It has every right nevertheless: while Redis 7.0 reads its append-only file, it checks each transaction in it against
the rights of this user, and drops what the user may not do without a message.
"""
HEALTH_RULE = "user health reset resetchannels on nopass -@all +ping"
"""A health check needs no password, and may do nothing but PING."""
OPERATOR_USER = RedisUser(OPERATOR, ("@all",), keys=("*",), channels=("*",))
"""May do everything: for people and tests. The containers have no such user."""


def list_users(backends: Iterable[str]) -> list[RedisUser]:
    """Return the user of each service that uses Redis: gateway, load tester, pipelines, and a trainer per backend."""
    gateway = RedisUser(
        "gateway",
        (*_LOGIN, *_TRANSACTIONS, *_RECORDS, "publish", "xadd", "xread", "xrevrange"),
        keys=("tandem:*", "rq:queues", "rq:queue:*", "rq:job:*"),
        readable_keys=("rq:execution:*", "rq:wip:*", "rq:workers:*", "rq:worker:*"),
        channels=("rq:pubsub:*",),
    )
    others = [_worker_user(service, service) for service in ("loadtest", "pipelines")]
    return [gateway, *others, *(_worker_user(name_of(one), one) for one in backends)]


def name_of(backend: str) -> str:
    """Return the Redis user of a backend's trainer."""
    return f"{backend}-trainer"


def read_or_create_password(path: Path) -> str:
    """Return the password in a file. The first call creates the file, readable by its owner only.

    Raises:
        OSError: the file cannot be read or written.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        password = secrets.token_hex(PASSWORD_BYTES)
        write_atomically(path, password.encode(), mode=0o600, sync=True, replace=False)
    return path.read_text().strip()


def write_users(path: Path, users: Mapping[RedisUser, Path], has_read_only_keys: bool, mode: int = 0o600) -> None:
    """Write the file of users that Redis reads when it starts.

    Args:
        path: the file of users.
        users: each user and the file with its password, which is created if it is missing.
        has_read_only_keys: whether the server is Redis 7 or newer.
        mode: the permissions of the file of users. It contains checksums of random passwords.

    Raises:
        OSError: a file cannot be read or written.
    """
    rules = [user.to_rule(read_or_create_password(password), has_read_only_keys) for user, password in users.items()]
    text = "\n".join([DEFAULT_USER_RULE, HEALTH_RULE, *rules, ""])
    write_atomically(path, text.encode(), mode=mode, sync=True)


def _worker_user(name: str, queue: str) -> RedisUser:
    """Return the user of the worker of a queue.

    It may write the jobs of its queue, the runs of its backend, and its own entry among the workers. A trainer
    compares its run with those of other backends, so it may read all our records.
    """
    return RedisUser(
        name,
        (*_LOGIN, *_TRANSACTIONS, *_RECORDS, "xadd", "blmove", "lmove", "subscribe", "unsubscribe"),
        keys=(
            *(f"tandem:*:{_ID}:{queue}", f"tandem:*:{_ID}:{queue}:history", f"tandem:*:{_ID}:comparisons"),
            *("tandem:running", "tandem:throughput", CHANGES_KEY),
            *(f"rq:queue:{queue}", f"rq:queue:{queue}:intermediate", f"rq:wip:{queue}"),
            *(f"rq:job:*-{_ID}-{queue}", f"rq:job:*-{_ID}-{queue}:depend*"),
            *(f"rq:execution:*-{_ID}-{queue}:*", f"rq:executions:*-{_ID}-{queue}", f"rq:results:*-{_ID}-{queue}"),
            *(f"rq:worker:{queue}.*", "rq:workers", f"rq:workers:{queue}"),
            # Earlier versions of Tandem gave workers names without their queue. What such a worker left is removed.
            *(f"rq:worker:{_ID}", f"rq:worker:{_ID}:executions"),
        ),
        readable_keys=("tandem:*", "rq:suspended"),
        channels=(f"rq:pubsub:{queue}.*",),
    )
