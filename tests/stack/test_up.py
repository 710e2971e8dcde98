"""`make up`: in the foreground, and when it ends, so does all that it started."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from services.stack.stack import private_environ, python_of
from tests.polling import wait_until

pytestmark = pytest.mark.stack


def started_by(state: Path) -> list[str]:
    """Command lines of the processes that live with a state folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(state).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [command for command in found if command]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["SIGTERM", "SIGINT", "SIGKILL"])
def test_a_signal_ends_the_stack_and_all_that_it_started(end: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-up-") as folder:
        state = Path(folder)
        environ = private_environ(os.environ, state)
        log = (state / "log").open("wb")
        up = subprocess.Popen([*python_of("stack"), "-m", "services.stack", "up"], env=environ, stdout=log, stderr=log)
        log.close()

        def is_up() -> bool:
            assert up.poll() is None, (state / "log").read_text()
            return b"Tandem is up" in (state / "log").read_bytes()

        wait_until(is_up, message=(state / "log").read_text, timeout_s=120, every_s=0.2)
        commands = started_by(state)
        for backend in ("tensorflow", "pytorch"):
            for process in ("trainer", "predictor"):
                assert any(f"-m services.{backend}.{process}" in command for command in commands)
        up.send_signal(end)
        up.wait(30)
        wait_until(
            lambda: not started_by(state), message=lambda: f"processes were left: {started_by(state)}", every_s=0.2
        )


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-up-") as folder:
        environ = private_environ(os.environ, Path(folder))
        environ["TANDEM_PREDICTOR_PORT"] = environ["TANDEM_GATEWAY_PORT"]
        import socket

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", int(environ["TANDEM_GATEWAY_PORT"])))
            taken.listen()
            answer = subprocess.run(
                [*python_of("stack"), "-m", "services.stack", "up"],
                env=environ,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
    assert answer.returncode == 1
    assert "set TANDEM_GATEWAY_PORT" in answer.stderr
