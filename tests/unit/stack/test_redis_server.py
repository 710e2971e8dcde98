"""The Redis server of `make up`: its socket, its passwords, and a damaged file."""

import hashlib
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.exceptions import AuthenticationError, OutOfMemoryError

from services.stack.errors import StackError
from services.stack.redis_server import RedisServer
from services.stack.stack import Stack
from shared.settings import LONGEST_SOCKET_PATH, Settings
from tests.unit.stack.conftest import RunningRedis


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_redis_listens_on_a_socket_that_only_its_user_can_reach(state: RunningRedis) -> None:
    state.server.folder.mkdir()  # as an earlier version left it
    state.server.folder.chmod(0o755)
    with state.running():
        assert permissions(state.server.folder) == 0o700
        assert stat.S_ISSOCK((state.server.folder / "redis.sock").stat().st_mode)
        assert state.client("operator").config_get("port") == {"port": "0"}
        assert state.client("operator").config_get("bind") in ({"bind": ""}, {"bind": "* -::*"}, {"bind": "127.0.0.1"})


def test_the_limit_of_memory_refuses_writes_and_removes_nothing(state: RunningRedis) -> None:
    with state.running():
        operator, gateway = state.client("operator"), state.client("gateway")
        assert int(operator.config_get("maxmemory")["maxmemory"]) == 384 * 2**20
        gateway.set("tandem:version:kept", 1)
        operator.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            gateway.set("tandem:version:refused", 1)
        assert gateway.get("tandem:version:kept") == b"1"


def test_a_password_has_a_file_of_its_own_and_is_kept(state: RunningRedis) -> None:
    with state.running():
        state.client("gateway").set("tandem:version:x", 7)
    files = {path.name: path.read_text() for path in (state.server.folder / "passwords").iterdir()}
    assert set(files) == {"operator", "gateway", "loadtest", "pipelines", "tensorflow-trainer", "pytorch-trainer"}
    assert len(set(files.values())) == len(files)
    assert all(len(bytes.fromhex(password)) == 32 for password in files.values())
    for name in files:
        assert permissions(state.server.folder / "passwords" / name) == 0o600
    users = state.server.folder / "users.acl"
    assert permissions(users) == 0o600
    assert not any(password in users.read_text() for password in files.values())
    assert hashlib.sha256(files["gateway"].encode()).hexdigest() in users.read_text()
    with state.running():  # the records and the passwords of the last start
        assert state.client("gateway").get("tandem:version:x") == b"7"
    assert {path.name: path.read_text() for path in (state.server.folder / "passwords").iterdir()} == files


def test_transactions_and_scripts_survive_a_restart(state: RunningRedis) -> None:
    """Redis 7.0 reads them with the rights of the user `default`."""
    with state.running():
        gateway = state.client("gateway")
        with gateway.pipeline() as transaction:
            transaction.set("tandem:version:a", 1)
            transaction.set("tandem:version:b", 2)
            transaction.execute()
        script = "redis.call('SET', KEYS[1], 3) redis.call('SET', KEYS[2], 4)"
        gateway.eval(script, 2, "tandem:version:c", "tandem:version:d")
    with state.running():
        kept = [state.client("gateway").get(f"tandem:version:{name}") for name in "abcd"]
    assert kept == [b"1", b"2", b"3", b"4"]


def test_a_wrong_password_is_refused(state: RunningRedis) -> None:
    with state.running():
        (state.server.folder / "passwords" / "gateway").write_text("0" * 64)
        with pytest.raises(AuthenticationError):
            state.client("gateway").ping()


def test_a_new_backend_gets_a_user_at_the_next_start(tmp_path: Path) -> None:
    environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_BACKENDS": "pytorch"}
    with RunningRedis(environ).running() as before:
        assert before.client("pytorch-trainer").ping()
    with RunningRedis({**environ, "TANDEM_BACKENDS": "pytorch,jax"}).running() as after:
        assert after.client("pytorch-trainer").ping()
        assert after.client("jax-trainer").ping()


def test_data_without_users_of_an_earlier_version_is_used_on(state: RunningRedis) -> None:
    folder = state.server.folder
    folder.mkdir()
    command = [state.server.prepare()[0], "--port", "0", "--unixsocket", str(folder / "old.sock"), "--dir", str(folder)]
    (folder / "users.acl").unlink()
    process = subprocess.Popen([*command, "--appendonly", "yes", "--save", ""], stdout=subprocess.DEVNULL)
    try:
        write = [sys.executable, "-c", WRITE_OLD, str(folder / "old.sock")]
        subprocess.run(write, check=True, timeout=30)
    finally:
        process.terminate()
        process.wait(20)
    with state.running():
        assert state.client("gateway").get("tandem:version:old") == b"3"


WRITE_OLD = """
import sys, time
from redis import Redis
from redis.exceptions import ConnectionError
for _ in range(200):
    try:
        Redis(unix_socket_path=sys.argv[1]).set("tandem:version:old", 3)
        break
    except ConnectionError:
        time.sleep(0.05)
"""


# The address -----------------------------------------------------------------


def test_a_second_stack_on_the_same_socket_is_refused(state: RunningRedis) -> None:
    with state.running(), pytest.raises(StackError, match="already: stop the other Tandem"):
        state.server.prepare()


def test_a_long_state_folder_has_its_socket_in_a_private_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory(prefix="t-") as temporary:  # `tmp_path` may itself be too long for a socket
        monkeypatch.setattr("tempfile.tempdir", temporary)
        long = tmp_path / ("x" * LONGEST_SOCKET_PATH)
        with RunningRedis({"TANDEM_STATE_DIR": str(long), "TANDEM_BACKENDS": "pytorch"}).running() as found:
            assert found.client("gateway").ping()
            (folder,) = Path(temporary).glob("tandem-*")
            assert permissions(folder) == 0o700
            assert [path.name for path in folder.iterdir()] == ["redis.sock"]


def test_a_socket_in_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_REDIS_URL": f"unix://{tmp_path}/open/redis.sock"}
    with pytest.raises(StackError, match=rf"chmod 700 {tmp_path}/open"):
        RedisServer(Settings.from_env(environ)).prepare()


def test_a_socket_with_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_REDIS_URL": f"unix://{tmp_path}/{'x' * 100}/redis.sock"}
    with pytest.raises(StackError, match="set TANDEM_REDIS_URL to a shorter one"):
        RedisServer(Settings.from_env(environ)).prepare()


def test_redis_listens_on_a_loopback_port_if_the_url_names_one(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        with pytest.raises(StackError, match=f"port {port} is in use: set TANDEM_REDIS_URL to another port"):
            RedisServer(Settings.from_env(environ)).prepare()
    with RunningRedis(environ).running() as found:
        assert found.client("gateway").ping()
        assert permissions(found.server.folder) == 0o700


def test_a_redis_on_another_machine_is_used_as_it_is(tmp_path: Path) -> None:
    environ = {
        "TANDEM_STATE_DIR": str(tmp_path),
        "TANDEM_REDIS_URL": "redis://redis.example:6379/0",
        "TANDEM_REDIS_USER": "mine",
        "TANDEM_REDIS_PASSWORD_FILE": "/mine",
    }
    stack = Stack(environ)
    assert not RedisServer(stack.settings).is_ours
    assert RedisServer(stack.settings).login("gateway") == {}
    assert stack.operator_settings == stack.settings
    assert stack.environ["TANDEM_REDIS_USER"] == "mine"


# The file --------------------------------------------------------------------


@pytest.fixture
def file(state: RunningRedis) -> Path:
    """Return the append-only file of a Redis that has stopped, with a hundred records."""
    with state.running():
        gateway = state.client("gateway")
        for number in range(100):
            with gateway.pipeline(transaction=number % 2 == 0) as pipeline:
                pipeline.hset(f"tandem:training:{number:032x}", mapping={"name": '"x"', "number": number})
                pipeline.zadd("tandem:trainings", {f"{number:032x}": number})
                pipeline.execute()
    (found,) = [*state.server.folder.glob("appendonly.aof"), *state.server.folder.glob("appendonlydir/*.incr.aof")]
    return found


def count_records(state: RunningRedis) -> int:
    return state.client("operator").zcard("tandem:trainings")


def damage(file: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in the middle of a file."""
    data = file.read_bytes()
    start = data.index(old, len(data) // 2)
    file.write_bytes(data[:start] + new + data[start + len(old) :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n*", b"\r\n\x8a"),  # the beginning of a command
        (b"\r\n$32", b"\r\n\xa432"),  # the beginning of an argument
        (b"$32\r\n", b"$99\r\n"),  # the length of an argument
        (b"$32\r\n", b"$99999\r\n"),  # a length beyond the end, which looks like an incomplete last write
        (b"*4\r\n", b"*9\r\n"),  # the number of arguments
        (b"ZADD", bytes(4)[:0]),  # bytes that are missing
        (b"\r\n", bytes(2)),
    ],
)
def test_a_damaged_file_is_reported_with_the_command_that_repairs_it(
    state: RunningRedis, file: Path, old: bytes, new: bytes
) -> None:
    damage(file, old, new)
    with pytest.raises(StackError, match="damaged after byte") as caught:
        state.server.prepare()
    command = shlex.split(str(caught.value).rpartition("those after it: ")[2])
    answer = subprocess.run(command, input=b"y\n", capture_output=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    with state.running():
        assert 40 <= count_records(state) <= 60


@pytest.mark.parametrize("missing", range(1, 120, 7))
def test_redis_itself_repairs_an_incomplete_last_write(state: RunningRedis, file: Path, missing: int) -> None:
    file.write_bytes(file.read_bytes()[:-missing])
    with state.running():
        assert count_records(state) in (98, 99)


def test_a_damage_that_nothing_repairs_is_reported(state: RunningRedis, file: Path) -> None:
    with state.running():
        operator = state.client("operator")
        operator.bgrewriteaof()
        while operator.info("persistence")["aof_rewrite_in_progress"]:
            pass
    (snapshot,) = [*state.server.folder.glob("appendonly.aof"), *state.server.folder.glob("appendonlydir/*.base.rdb")]
    data = bytearray(snapshot.read_bytes())
    data[len(data) // 2] ^= 0xFF
    snapshot.write_bytes(data)
    with pytest.raises(StackError, match="cannot repair it"):
        state.server.prepare()


def test_records_that_this_redis_cannot_read_are_not_ignored(state: RunningRedis) -> None:
    program = state.server.prepare()[0]
    if "v=6." not in subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this is not Redis 6")
    (state.server.folder / "appendonlydir").mkdir()  # as Redis 7 makes it
    with pytest.raises(StackError, match="were written by Redis 7"):
        state.server.prepare()


@pytest.mark.parametrize("version", ["6.0.16", "5.0.3", "2.8.19"])
def test_a_redis_that_is_too_old_is_refused(
    state: RunningRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=jemalloc-5.2.1 bits=64'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(StackError, match=r"needs 6\.2 or later"):
        state.server.prepare()
