"""Runs every service on one machine without containers, under supervisor.

Each service runs in its own virtual environment, as it does in its own image. Supervisor restarts a process that dies.
When the stack ends, every process that it started ends too, also if supervisor itself is killed.
"""

import errno
import json
import os
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

from services.stack.errors import StackError
from services.stack.programs import describe_program
from services.stack.proxies import exclude_loopback_from_proxy
from services.stack.redis_server import RedisServer
from shared.jobs.redis_users import OPERATOR, name_of
from shared.process import end_with_parent
from shared.settings import Settings, host_to_connect_to, is_loopback

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30
"""Supervisor waits up to 8 s for the services, and then up to 8 s for Redis."""
OUTPUT = {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""Every process writes its log lines at once. TensorFlow logs warnings and errors only."""


class Stack:
    """The processes of one Tandem: starts them, waits for them and stops them.

    Args:
        environ: the environment of every process, with the settings.
        log: the file to which the output of all processes is appended. By default it goes to the terminal.
        trainers: how many trainers each backend has.
        predictors: how many predictors each backend has. If there are several, each listens on another loopback address
            (127.0.0.1, 127.0.0.2, ...), which only Linux has without configuration.

    Attributes:
        environ: the environment that the processes get.
        settings: the settings in it.
        operator_settings: the same settings with the login of a Redis user that may do everything, for people and
            tests. No service has this login.
        url: the gateway's URL.

    Raises:
        ValueError: a setting is not valid.
    """

    def __init__(
        self, environ: Mapping[str, str], log: Path | None = None, *, trainers: int = 1, predictors: int = 1
    ) -> None:
        self._trainers, self._predictors = trainers, predictors
        if predictors > 1:
            urls = ",".join(f"http://{_loopback_address(number)}:{{port}}" for number in range(1, predictors + 1))
            environ = {**environ, "TANDEM_PREDICTOR_URL": urls}
        self.environ = {**environ, **OUTPUT, **exclude_loopback_from_proxy(environ)}
        self.settings = Settings.from_env(environ)
        self._redis = RedisServer(self.settings)
        self.operator_settings = Settings.from_env({**environ, **self._redis.login(OPERATOR)})
        self.environ["TANDEM_REDIS_URL"] = self.settings.redis_url  # the processes may have another temporary folder
        if self.settings.logs == "auto":  # decided here, because the processes write to pipes of supervisor
            self.environ["TANDEM_LOGS"] = "text" if log is None and sys.stdout.isatty() else "json"
        self._host = host_to_connect_to(self.settings.bind_host)
        bracketed = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{bracketed}:{self.settings.gateway_port}"
        self.environ.setdefault("TANDEM_GATEWAY_URL", self.url)  # the load tester asks there
        self._log = log
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start every process, and return without waiting for them.

        Raises:
            StackError: a port is in use, this machine has no Redis server, Redis' file is damaged, or other machines
                could reach the gateway and there are no access tokens.
        """
        self._check_access()
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
            start_new_session=True,  # Ctrl+C reaches only this process, which stops the others in order
        )
        if output:
            output.close()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the gateway, Redis and the predictor of every backend answer.

        Raises:
            StackError: supervisor ended, or a part did not answer within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._supervisor is None or self._supervisor.poll() is not None:
                raise StackError("the processes ended while they started; their output says why")
            if all(state == "up" for state in self.read_health().values()):
                return
            time.sleep(0.25)
        parts = ", ".join(f"{part} is {state}" for part, state in self.read_health().items())
        raise StackError(f"the stack was not ready within {timeout_s:g} s: {parts}")

    def read_health(self) -> dict[str, str]:
        """Return the state of each part, `up` or `down`, as the gateway reports it.

        If the gateway does not answer, or not with a health report, the result is `{"gateway": "down"}`. If it
        requires tokens, it says only that it is ready: then the result is `{"gateway": "up"}`.
        """
        # A proxy cannot reach a loopback address of this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/v2/health/ready", timeout=5) as response:
                return dict(json.load(response).get("details") or {"gateway": "up"})
        except (OSError, ValueError, KeyError):
            return {"gateway": "down"}

    def wait(self) -> int:
        """Wait until a started stack ends, and return the exit status of supervisor."""
        assert self._supervisor is not None
        return self._supervisor.wait()

    def stop(self) -> None:
        """Stop every process. Those that have not ended after `STOP_TIMEOUT_S` seconds are killed."""
        if self._supervisor is None:
            return
        if self._supervisor.poll() is None:
            self._supervisor.send_signal(signal.SIGTERM)
        try:
            self._supervisor.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()

    def _check_access(self) -> None:
        """Raise StackError if the gateway would refuse to start, because nothing says who may use it.

        The gateway itself would say so again and again, because supervisor starts it again.
        """
        settings = self.settings
        if not (is_loopback(settings.public_host) or settings.anonymous or _has_tokens(settings.token_file)):
            raise StackError(
                f"other machines could reach the gateway at {settings.public_host}, and there are no access tokens: "
                "start it on 127.0.0.1 and run `./tandem token create --scope admin --name NAME`, or set "
                "TANDEM_ANONYMOUS=1 to serve everybody"
            )

    def _check_ports(self) -> None:
        """Raise StackError if a port is in use, and name the setting that changes it."""
        ports = [("TANDEM_GATEWAY_PORT", self._host, self.settings.gateway_port)]
        ports += [
            ("TANDEM_PREDICTOR_PORT", "127.0.0.1", self.settings.port_of(backend)) for backend in self.settings.backends
        ]
        for variable, host, port in ports:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        raise StackError(f"port {port} is in use: set {variable} to another port") from None
                    raise StackError(f"{host} is no address of this machine (TANDEM_BIND_HOST): {error}") from None

    def _configuration(self) -> Iterator[str]:
        """Yield the lines of supervisor's configuration: one program per process."""
        yield "[supervisord]\nnodaemon=true\nloglevel=warn\nlogfile=/dev/null\nlogfile_maxbytes=0"
        yield f"pidfile={self.settings.state_dir}/supervisord.pid"
        if os.geteuid() == 0:
            yield "user=root"
        if self._redis.is_ours:
            yield from describe_program("redis", self._redis.prepare(), priority=1)
        yield from describe_program("datasets", [*python_of("gateway"), "-m", "shared.data.datasets"], once=True)
        for name in ("gateway", "loadtest", "pipelines"):
            yield from describe_program(name, [*python_of(name), "-m", f"services.{name}"], self._redis.login(name))
        for backend in self.settings.backends:
            trainer = [*python_of(backend), "-m", f"services.{backend}.trainer"]
            login = self._redis.login(name_of(backend))
            for number in range(1, self._trainers + 1):
                yield from describe_program(_numbered(f"{backend}-trainer", number), trainer, login)
            predictor = [*python_of(backend), "-m", f"services.{backend}.predictor"]
            for number in range(1, self._predictors + 1):
                address = self._predictor_address(backend, number)
                yield from describe_program(_numbered(f"{backend}-predictor", number), predictor, address)

    def _predictor_address(self, backend: str, number: int) -> dict[str, str]:
        """Return the setting of the address on which a backend's predictor of this number listens.

        A predictor asks for no token. One that only this machine asks must not be reached by others, also if the
        gateway is.
        """
        host = urlsplit(self.settings.url_of(backend)).hostname or ""
        return {"TANDEM_BIND_HOST": _loopback_address(number)} if is_loopback(host) else {}


def _numbered(name: str, number: int) -> str:
    """Return the name of a program of which there may be several. The first one has no number."""
    return name if number == 1 else f"{name}-{number}"


def _loopback_address(number: int) -> str:
    return f"127.0.0.{number}"


def _has_tokens(token_file: Path) -> bool:
    """Return whether a file holds access tokens. The gateway itself checks whether they are valid."""
    try:
        return bool(json.loads(token_file.read_bytes())["tokens"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, TypeError):
        return True  # the gateway's message says what is wrong with the file


def python_of(environment: str) -> list[str]:
    """Return the command that starts the Python interpreter of an environment: the first words of a command line."""
    return [str(Path(".venv", environment, "bin", "python").absolute())]


def free_ports(count: int) -> list[int]:
    """Return consecutive ports on which nothing listens on 127.0.0.1.

    They lie below 32768, where Linux begins to take the ports of outgoing connections. The search begins at a port
    that depends on the process id, so that two processes at the same time rarely find the same ports.

    Raises:
        StackError: there are no `count` free ports in a row.
    """
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
    raise StackError(f"{count} free ports in a row were not found")


def isolate_environ(environ: Mapping[str, str], state_dir: Path) -> dict[str, str]:
    """Return an environment for a stack that shares no port and no state with other stacks.

    Args:
        environ: the environment to start from. Its other settings, such as the cache of datasets, are kept.
        state_dir: the folder for the stack's state.

    Raises:
        ValueError: a setting is not valid.
        StackError: there are not enough free ports.
    """
    backends = Settings.from_env(environ).backends
    gateway, *predictors = free_ports(1 + len(backends))
    return {
        **environ,
        "TANDEM_STATE_DIR": str(state_dir),
        "TANDEM_MODEL_DIR": str(state_dir / "models"),
        "TANDEM_UPLOAD_DIR": str(state_dir / "uploads"),
        "TANDEM_SOCKET_DIR": str(state_dir / "sockets"),
        "TANDEM_KEY_FILE": str(state_dir / "job.key"),
        "TANDEM_TOKEN_FILE": str(state_dir / "tokens.json"),
        "TANDEM_BIND_HOST": "127.0.0.1",
        "TANDEM_PUBLIC_HOST": "127.0.0.1",
        "TANDEM_PREDICTOR_URL": "http://127.0.0.1:{port}",
        "TANDEM_GATEWAY_URL": "http://127.0.0.1:{port}",
        "TANDEM_GATEWAY_PORT": str(gateway),
        "TANDEM_PUBLIC_PORT": "",
        # Nothing means the default: a socket in the state folder, and the users that the stack creates.
        "TANDEM_REDIS_URL": "",
        "TANDEM_REDIS_USER": "",
        "TANDEM_REDIS_PASSWORD_FILE": "",
        "TANDEM_PREDICTOR_PORT": str(predictors[0]),
    }
