"""A patient client waits while Redis is down or refuses writes. The tests use a real Redis."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from services.stack.redis_server import find_redis_server
from services.stack.stack import free_ports
from shared.jobs.connection import connect
from shared.settings import Settings
from tests.polling import wait_until

SCRIPT = "redis.call('SET', KEYS[1], ARGV[1]) return 1"


def test_writes_wait_until_redis_has_memory_again(redis: Redis, settings: Settings) -> None:
    patient = connect(settings, patient=True)
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisError):
            connect(settings, patient=False).set("a", 1)
        with ThreadPoolExecutor(3) as pool, patient.pipeline() as transaction:
            transaction.set("c", 1)
            written = [
                pool.submit(patient.set, "a", 1),
                pool.submit(patient.eval, SCRIPT, 1, "b", 1),
                pool.submit(transaction.execute),
            ]
            Timer(0.5, redis.config_set, ("maxmemory", 0)).start()
            assert [bool(future.result(timeout=30)) for future in written] == [True] * 3
    finally:
        redis.config_set("maxmemory", 0)
    assert sorted(redis.keys()) == [b"a", b"b", b"c"]


def test_writes_wait_while_redis_is_a_replica(redis: Redis, settings: Settings) -> None:
    patient = connect(settings, patient=True)
    redis.replicaof("127.0.0.1", "1")
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(patient.set, "a", 1)
        Timer(0.5, redis.replicaof, ("NO", "ONE")).start()
        assert written.result(timeout=30)


def test_commands_wait_until_redis_is_started(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    patient = connect(Settings.from_env({"TANDEM_REDIS_URL": f"redis://127.0.0.1:{port}/0"}), patient=True)
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(patient.ping)
        command = [find_redis_server(), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            assert answered.result(timeout=30)
        finally:
            server.kill()
            server.wait()


def test_after_a_failure_an_impatient_client_does_not_ask_for_a_moment(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    impatient = connect(Settings.from_env({"TANDEM_REDIS_URL": f"redis://127.0.0.1:{port}/0"}), patient=False)
    with pytest.raises(RedisError, match="refused"):
        impatient.ping()
    with pytest.raises(RedisError, match="a moment ago"):
        impatient.ping()
    command = [find_redis_server(), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(impatient), message="the client never asked again")
    finally:
        server.kill()
        server.wait()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def test_a_mistake_and_a_wrong_password_are_not_repeated(redis: Redis, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ResponseError):
        connect(settings, patient=True).execute_command("NO.SUCH.COMMAND")
    password = tmp_path / "password"
    password.write_text("wrong")
    wrong = settings.model_copy(update={"redis_password_file": password, "redis_user": "nobody"})
    with pytest.raises(RedisError):
        connect(wrong, patient=True).ping()
    wait_until(redis.ping, message="Redis does not answer")
