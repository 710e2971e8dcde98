"""`make up` and `make demo KEEP=1` run in the foreground. When they end, every process that they started ends too."""

import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
import requests

from services.stack.stack import isolate_environ, python_of
from tests.polling import wait_until

pytestmark = pytest.mark.stack


def find_processes(state: Path) -> list[str]:
    """Return the command lines of all processes whose environment names a state folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(state).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [command for command in found if command]


@pytest.mark.parametrize(
    ("end", "to_supervisor"),
    [(signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGKILL, False), (signal.SIGKILL, True)],
    ids=["SIGTERM", "SIGINT", "SIGKILL", "SIGKILL-to-supervisor"],
)
def test_a_signal_ends_the_stack_and_every_process_that_it_started(end: signal.Signals, to_supervisor: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-up-") as folder:
        state = Path(folder)
        environ = isolate_environ(os.environ, state)
        log = (state / "log").open("wb")
        up = subprocess.Popen([*python_of("stack"), "-m", "services.stack", "up"], env=environ, stdout=log, stderr=log)
        log.close()

        def is_up() -> bool:
            assert up.poll() is None, (state / "log").read_text()
            return b"Tandem is up" in (state / "log").read_bytes()

        try:
            wait_until(is_up, message=(state / "log").read_text, timeout_s=300, every_s=0.2)
            page = f"Open http://127.0.0.1:{environ['TANDEM_GATEWAY_PORT']} in a browser"
            assert page in (state / "log").read_text()
            commands = find_processes(state)
            for backend in ("tensorflow", "pytorch"):
                for process in ("trainer", "predictor"):
                    assert any(f"-m services.{backend}.{process}" in command for command in commands)
            os.kill(int((state / "supervisord.pid").read_text()) if to_supervisor else up.pid, end)
            up.wait(30)
            wait_until(
                lambda: not find_processes(state),
                message=lambda: f"processes were left: {find_processes(state)}",
                every_s=0.2,
            )
        finally:
            if up.poll() is None:  # the test failed before it could stop the stack
                up.terminate()
                up.wait(60)


def test_a_kept_demo_answers_at_the_printed_address_until_a_signal_ends_it(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    # Without MNIST, and without a network to download it, the demo trains on digits, which takes less time.
    environ = {
        **os.environ,
        "TANDEM_DATA_DIR": str(tmp_path / "own"),
        "TANDEM_CACHE_DIR": str(tmp_path / "cache"),
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    command = [*python_of("stack"), "-m", "services.stack", "demo", "--keep"]
    with (tmp_path / "log").open("wb") as log:
        demo = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def is_kept() -> bool:
        assert demo.poll() is None, (tmp_path / "log").read_text()
        return "Press Ctrl+C to stop the demo" in (tmp_path / "log").read_text()

    try:
        wait_until(is_kept, message=(tmp_path / "log").read_text, timeout_s=300, every_s=0.2)
        (printed,) = re.findall(r"Open (\S+)/train\?id=(\w+) in a browser", (tmp_path / "log").read_text())
        url, identity = printed
        assert requests.get(f"{url}/v1/trainings/{identity}", timeout=10).json()["status"] == "succeeded"
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        wait_until(
            lambda: not find_processes(tmp_path),
            message=lambda: f"processes were left: {find_processes(tmp_path)}",
            every_s=0.2,
        )
    finally:
        if demo.poll() is None:  # the test failed before it could stop the demo
            demo.terminate()
            demo.wait(60)


def test_the_error_for_a_port_in_use_names_its_setting() -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-up-") as folder:
        environ = isolate_environ(os.environ, Path(folder))
        environ["TANDEM_PREDICTOR_PORT"] = environ["TANDEM_GATEWAY_PORT"]
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", int(environ["TANDEM_GATEWAY_PORT"])))
            taken.listen()
            result = subprocess.run(
                [*python_of("stack"), "-m", "services.stack", "up"],
                env=environ,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
    assert result.returncode == 1
    assert "set TANDEM_GATEWAY_PORT to another port" in result.stderr


def test_a_damaged_file_of_redis_stops_the_start_with_the_command_that_repairs_it() -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-up-") as folder:
        redis = Path(folder, "redis")
        redis.mkdir()
        write = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
        (redis / "appendonly.aof").write_bytes(write + b"damage" + write)
        result = subprocess.run(
            [*python_of("stack"), "-m", "services.stack", "up"],
            env=isolate_environ(os.environ, Path(folder)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("Tandem cannot start: The file of Redis is damaged after byte 27 of 60.")
    assert result.stderr.endswith(f"redis-check-aof --fix {redis}/appendonly.aof\n")


def test_an_invalid_setting_is_refused_in_one_line() -> None:
    result = subprocess.run(
        [*python_of("stack"), "-m", "services.stack", "up"],
        env={**os.environ, "TANDEM_GATEWAY_PORT": "x"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Tandem cannot start: TANDEM_GATEWAY_PORT='x' is not valid: set it to a port number from 1 to 65535\n"
    )
