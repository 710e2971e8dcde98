"""What each user of Redis may do, tried on a real server."""

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from shared.jobs.job_queue import LOADTEST, PIPELINES
from shared.jobs.redis_users import list_users, name_of
from tests.unit.stack.conftest import RunningRedis

SERVICES = ("gateway", "loadtest", "pipelines", "tensorflow-trainer", "pytorch-trainer")
USERS = ("health", *SERVICES)
ID = "0" * 32
FORBIDDEN = [
    *("CONFIG GET dir", "CONFIG SET dir /", "CONFIG REWRITE", "MODULE LIST", "MODULE LOAD /x.so", "DEBUG SLEEP 0"),
    *("SAVE", "BGSAVE", "BGREWRITEAOF", "LASTSAVE", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SHUTDOWN NOSAVE"),
    *("KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "RENAME tandem:a tandem:b", "MOVE tandem:a 1", "DUMP tandem:a"),
    *("RESTORE tandem:a 0 x", "SORT tandem:a", "OBJECT ENCODING tandem:a", "MIGRATE localhost 1 tandem:a 0 1"),
    *("ACL LIST", "ACL WHOAMI", "ACL SETUSER x on", "MONITOR", "SLAVEOF NO ONE", "REPLICAOF NO ONE", "PSYNC x 1"),
    *("CLIENT LIST", "CLIENT KILL 127.0.0.1:1", "CLIENT PAUSE 1", "SLOWLOG GET", "LATENCY RESET", "MEMORY DOCTOR"),
    *("SCRIPT FLUSH", "SCRIPT KILL", "PSUBSCRIBE *", "PUBSUB CHANNELS", "CLUSTER INFO", "FAILOVER", "COMMAND"),
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("command", FORBIDDEN)
def test_no_service_may_administer_redis(redis: RunningRedis, user: str, command: str) -> None:
    # Redis 7 refuses DEBUG and MODULE LOAD to everybody, before it looks at the user's rights.
    with pytest.raises((NoPermissionError, ResponseError), match=r"^this user has no permissions|command not allowed"):
        redis.client(user).execute_command(*command.split())


@pytest.mark.parametrize("command", ["GET tandem:x", "INFO", "SELECT 0", "HGETALL rq:workers", "EVAL return(1) 0"])
def test_a_health_check_needs_no_password_and_may_only_ping(redis: RunningRedis, command: str) -> None:
    client = redis.client("health")
    assert client.ping()
    with pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize("command", ["PING", "GET tandem:x", "ACL LIST", "CONFIG GET dir"])
def test_a_client_that_does_not_log_in_may_do_nothing(redis: RunningRedis, command: str) -> None:
    with pytest.raises(AuthenticationError):
        Redis.from_url(redis.settings.redis_url).execute_command(*command.split())
    with pytest.raises(AuthenticationError):
        Redis.from_url(redis.settings.redis_url, password="").execute_command("AUTH", "default", "")


@pytest.mark.parametrize("user", SERVICES)
def test_no_service_may_touch_keys_of_others(redis: RunningRedis, user: str) -> None:
    for command in ("GET other", "SET other 1", "DEL other", "EXISTS rq", "HGETALL rq:cron"):
        with pytest.raises(NoPermissionError):
            redis.client(user).execute_command(*command.split())


def allowed_commands(queue: str) -> list[str]:
    """Return commands that the worker of a queue needs, on the keys of its queue."""
    job = f"training-{ID}-{queue}"
    return [
        f"LMOVE rq:queue:{queue} rq:queue:{queue}:intermediate LEFT RIGHT",
        f"ZRANGE rq:wip:{queue} 0 -1",
        f"HGETALL rq:job:{job}",
        f"HSET rq:job:{job} status started",
        f"HSET rq:execution:{job}:1 id 1",
        f"DEL rq:executions:{job} rq:results:{job}",
        f"HSET rq:worker:{queue}.1 birth 1",
        f"SADD rq:worker:{queue}.1:executions 1",
        f"SADD rq:workers:{queue} rq:worker:{queue}.1",
        f"HSET tandem:training:{ID}:{queue} status 1",
        f"RPUSH tandem:training:{ID}:{queue}:history 1",
        f"PUBLISH rq:pubsub:{queue}.1 stop",
    ]


def as_script(command: str) -> list[str]:
    """Return a command as a call of EVAL with one key."""
    name, key, *arguments = command.split()
    numbered = "".join(f",ARGV[{number}]" for number in range(1, len(arguments) + 1))
    return ["EVAL", f"return redis.call('{name}',KEYS[1]{numbered})", "1", key, *arguments]


WORKERS = {
    "loadtest": LOADTEST,
    "pipelines": PIPELINES,
    "tensorflow-trainer": "tensorflow",
    "pytorch-trainer": "pytorch",
}


@pytest.mark.parametrize("user", WORKERS)
def test_a_worker_may_use_only_the_keys_of_its_queue(redis: RunningRedis, user: str) -> None:
    client = redis.client(user)
    for queue in WORKERS.values():
        for command in allowed_commands(queue):
            if command.startswith("PUBLISH"):
                continue  # only the gateway sends commands to workers
            if queue == WORKERS[user]:
                client.execute_command(*command.split())
            elif "tandem:" not in command or redis.version() >= 7:  # Redis 6 cannot separate reading from writing
                with pytest.raises(NoPermissionError):
                    client.execute_command(*command.split())
                with pytest.raises((NoPermissionError, ResponseError), match=r"permission|can't|ACL|access"):
                    client.execute_command(*as_script(command))


@pytest.mark.parametrize("user", WORKERS)
def test_a_worker_listens_to_its_own_commands_only(redis: RunningRedis, user: str) -> None:
    for queue in WORKERS.values():
        with redis.client(user).pubsub() as channel:
            channel.subscribe(f"rq:pubsub:{queue}.1")
            if queue == WORKERS[user]:
                assert channel.get_message(timeout=5)["type"] == "subscribe"
            else:
                with pytest.raises(NoPermissionError):
                    channel.get_message(timeout=5)
        with pytest.raises(NoPermissionError):
            redis.client(user).publish(f"rq:pubsub:{queue}.1", "stop")


@pytest.mark.parametrize("user", WORKERS)
def test_a_worker_reads_all_records_and_changes_none_but_its_own(redis: RunningRedis, user: str) -> None:
    client = redis.client(user)
    client.hgetall(f"tandem:training:{ID}")
    client.hset(f"tandem:training:{ID}:comparisons", "pytorch,tensorflow", "{}")
    client.xadd("tandem:changes", {"key": f"tandem:training:{ID}:pytorch"})
    if redis.version() < 7:
        pytest.skip("Redis 6 cannot separate reading from writing")
    for key in (f"tandem:training:{ID}", "tandem:version:x", "tandem:aliases:pytorch", "tandem:trainings"):
        with pytest.raises(NoPermissionError):
            client.delete(key)


def test_a_backend_whose_name_ends_like_another_has_keys_of_its_own(redis: RunningRedis) -> None:
    client = redis.client("pytorch-trainer")
    job = f"training-{ID}-my-pytorch"
    for key in (f"rq:job:{job}", f"rq:execution:{job}:1", "rq:worker:my-pytorch.1"):
        with pytest.raises(NoPermissionError):
            client.hgetall(key)


def test_the_gateway_submits_reads_and_cancels_but_takes_no_jobs(redis: RunningRedis) -> None:
    client = redis.client("gateway")
    client.rpush("rq:queue:pytorch", "job")
    client.hset(f"tandem:training:{ID}:pytorch", "status", "1")
    client.publish("rq:pubsub:pytorch.1", "stop")
    for command in ("LMOVE rq:queue:pytorch rq:queue:x LEFT LEFT", "BLMOVE rq:queue:a rq:queue:b LEFT LEFT 1"):
        with pytest.raises(NoPermissionError):
            client.execute_command(*command.split())
    with pytest.raises(NoPermissionError):
        client.execute_command("SUBSCRIBE", "rq:pubsub:pytorch.1")


def test_every_service_that_uses_redis_has_a_user() -> None:
    assert [user.name for user in list_users(["tensorflow", "pytorch"])] == list(SERVICES)
    assert name_of("pytorch") == "pytorch-trainer"
    assert (LOADTEST, PIPELINES) == ("loadtest", "pipelines")
