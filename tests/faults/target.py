"""The stack that the faults are injected into: its own state folder and free ports, real processes, real Redis.

Everything that depends on how the stack is built is here: which processes there are, how Redis is reached with all
rights, and where files lie. A fault changes a process only through this module.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis

from services.stack.stack import Stack, isolate_environ, python_of
from shared.jobs.connection import connect
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.faults.answers import ask
from tests.faults.process_control import enlarge_output_pipe, find_process_tree, kill, parent_of, read_process_file
from tests.faults.waiting import wait
from tests.stack.processes import find_processes

JOB_TIMEOUT_S = 60  # the time limit of a job; a job that hangs is ended after it
VOLUME_BYTES = 512 * 2**20  # of the model volume's file system, if one can be mounted


class Target:
    """A running Tandem, and the ways to damage it.

    Args:
        root: the folder that gets a state folder for each start.

    Attributes:
        stack: the running stack.
        has_small_volume: whether the model volume is a file system of its own, which can be filled.
    """

    stack: Stack
    has_small_volume: bool

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self) -> None:
        """Start a stack with an empty state folder, wait until it answers, and train the model `probe`.

        Raises:
            StackError: the stack did not start.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        state = Path(tempfile.mkdtemp(prefix="faults-", dir=self._root.absolute()))
        own = state / "own"
        own.mkdir()
        self.has_small_volume = _mount_volume(state / "models")
        cache = str(self._root.absolute() / "data")
        environ = {"TANDEM_CACHE_DIR": cache, **os.environ, "TANDEM_DATA_DIR": str(own)}
        environ |= {"TANDEM_JOB_TIMEOUT_S": str(JOB_TIMEOUT_S), "TANDEM_LOGS": "json"}
        self.stack = Stack(isolate_environ(environ, state), log=state / "log")
        try:
            self.stack.start()
            self.stack.wait_ready(timeout_s=300)
            request = {"network": "mlp", "dataset": "digits", "epochs": 10, "batch_size": 32, "name": "probe"}
            answer = ask(self.url, "POST", "/v1/trainings", json=request)
            path = f"/v1/trainings/{answer.json()['id']}"
            wait(
                lambda: ask(self.url, "GET", path).json()["status"] == "succeeded",
                message=lambda: f"the model probe was not trained: {ask(self.url, 'GET', path)}",
                timeout_s=120,
            )
        except BaseException:
            self.stop(keep=True)
            raise

    def stop(self, keep: bool = False) -> None:
        """Stop the stack and remove its state folder.

        Args:
            keep: leave the state folder, so that its log can be read. The models are lost if they were in memory.
        """
        try:
            self.stack.stop()
        finally:
            if self.has_small_volume:  # --lazy: also while a process still uses it
                command = ["umount", "--lazy", str(self.settings.model_dir)]
                subprocess.run(command, check=False, capture_output=True)
        if not keep:
            shutil.rmtree(self.settings.state_dir, ignore_errors=True)

    def restart_with_empty_state(self) -> None:
        """Stop the stack and start another one, so that the next fault does not meet what the last one left."""
        self.stop()
        self.start()

    @property
    def settings(self) -> Settings:
        """Return the settings of the stack."""
        return self.stack.settings

    @property
    def url(self) -> str:
        """Return the gateway's URL."""
        return self.stack.url

    @property
    def registry(self) -> ModelRegistry:
        """Return the models on the stack's volume."""
        return ModelRegistry(self.settings.model_dir)

    def read_log(self) -> str:
        """Return what the processes have logged."""
        return (self.settings.state_dir / "log").read_text(errors="replace")

    # Processes -----------------------------------------------------------------------------------

    def find_trainers(self, backend: str) -> list[int]:
        """Return the pids of a backend's trainers, without their work horses."""
        pids = find_processes(self.settings, f"services.{backend}.trainer")
        return [pid for pid in pids if parent_of(pid) not in pids]

    def find_work_horses(self, backend: str) -> list[int]:
        """Return the pids of the processes in which a backend's trainers run their jobs."""
        pids = find_processes(self.settings, f"services.{backend}.trainer")
        return [pid for pid in pids if parent_of(pid) in pids]

    def find_predictors(self, backend: str) -> list[int]:
        """Return the pids of a backend's predictor."""
        return find_processes(self.settings, f"services.{backend}.predictor")

    def find_pipelines(self) -> list[int]:
        """Return the pids of the pipelines: the first process, then the one that performs a job, if there is one."""
        pids = find_processes(self.settings, "services.pipelines")
        return sorted(pids, key=lambda pid: parent_of(pid) in pids)

    def find_gateways(self) -> list[int]:
        """Return the pids of the gateway: its first process, then the processes that this one started."""
        found = find_processes(self.settings, "services.gateway")
        port = str(self.settings.gateway_port).encode()
        own = [pid for pid in found if b"TANDEM_GATEWAY_PORT=" + port in read_process_file(pid, "environ").split(b"\0")]
        parents = [pid for pid in own if parent_of(pid) not in own]
        return parents + sorted(find_process_tree(parents) - set(parents))

    def find_serving_gateway(self) -> int:
        """Return the pid of the gateway's process that answers requests: the child, if there is one."""
        return self.find_gateways()[-1]

    def find_supervisor(self) -> int:
        """Return the pid of supervisor."""
        return int((self.settings.state_dir / "supervisord.pid").read_text())

    def find_redis(self) -> int | None:
        """Return the pid of Redis, or None while it does not run."""
        for pid in find_process_tree([self.find_supervisor()]):
            if b"redis-server" in read_process_file(pid, "cmdline").split(b"\0")[0]:
                return pid
        return None

    def kill_redis(self) -> None:
        """End Redis with SIGKILL."""
        pid = self.find_redis()
        if pid is not None:
            kill([pid], signal.SIGKILL)

    @contextlib.contextmanager
    def paused_supervisor(self) -> Iterator[None]:
        """Stop supervisor, so that a process that is killed does not come back before the block ends.

        The processes log into pipes that supervisor reads. The pipes are made larger, so that nobody waits for it.
        """
        supervisor = self.find_supervisor()
        for pid in find_process_tree([supervisor]) - {supervisor}:
            enlarge_output_pipe(pid)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)

    @contextlib.contextmanager
    def started_service(
        self, module: str, environment: str, variables: Mapping[str, str] | None = None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Run one more process of a service, with the environment of the service's process in the stack.

        Args:
            module: such as `services.gateway`.
            environment: the name of its virtual environment.
            variables: changed environment variables.
        """
        (first, *_) = find_processes(self.settings, module)
        pairs = [pair.partition(b"=") for pair in read_process_file(first, "environ").split(b"\0") if pair]
        environ = {name.decode(): value.decode() for name, _, value in pairs} | dict(variables or {})
        with (self.settings.state_dir / "log").open("ab") as log:
            process = subprocess.Popen(
                [*python_of(environment), "-m", module],
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # Redis ---------------------------------------------------------------------------------------

    def connect_admin(self) -> Redis:
        """Return a client of Redis with all rights. It waits at most two seconds for an answer."""
        return connect_admin(self.stack)

    def find_append_only_file(self) -> Path:
        """Return the file to which Redis appends every write."""
        return find_append_only_file(self.settings.state_dir / "redis")

    # The model volume ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def full_volume(self) -> Iterator[str]:
        """Make writes to the model volume fail until the block ends.

        With a file system of its own, the volume is filled. Otherwise the trainers' files may have no bytes.

        Yields:
            How the volume was made full.
        """
        if self.has_small_volume:
            ballast = self.settings.model_dir / ".ballast"
            _fill(ballast)
            try:
                yield "the volume's file system was full"
            finally:
                ballast.unlink()
        else:
            pids = [pid for backend in self.settings.backends for pid in self.find_trainers(backend)]
            pids += [pid for backend in self.settings.backends for pid in self.find_work_horses(backend)]
            _limit_file_size(pids, 0)
            try:
                yield "no file system could be mounted: RLIMIT_FSIZE was 0"
            finally:
                for backend in self.settings.backends:  # a work horse inherits the limit, so its parent comes first
                    _limit_file_size(self.find_trainers(backend), None)
                    _limit_file_size(self.find_work_horses(backend), None)


def connect_admin(stack: Stack) -> Redis:
    """Return a client of a stack's Redis with all rights.

    The services log in as users with few rights. `operator_settings` has the login of a user that may do everything.
    A stack without Redis users has no such settings.
    """
    return connect(getattr(stack, "operator_settings", stack.settings), patient=False)


def find_append_only_file(folder: Path) -> Path:
    """Return the file in Redis' folder to which it appends. Redis 7 has several files, Redis 6 has one."""
    return max([*folder.rglob("*.incr.aof"), *folder.rglob("appendonly.aof")], key=lambda file: file.stat().st_mtime)


def redis_address(settings: Settings) -> tuple[str, str | tuple[str, int]]:
    """Return ("unix", path) or ("tcp", (host, port)) of the stack's Redis."""
    parts = urlsplit(settings.redis_url)
    if parts.scheme == "unix":
        return "unix", parts.path
    return "tcp", (parts.hostname or "127.0.0.1", parts.port or 6379)


def _mount_volume(folder: Path) -> bool:
    """Mount a file system in memory as the model volume. Return False if this user or machine does not allow it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_BYTES}", "tandem-faults", str(folder)]
    return (
        shutil.which("mount") is not None and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def _limit_file_size(pids: list[int], limit_bytes: int | None) -> None:
    """Limit how large files of processes may become; None removes the limit. Processes that have ended are left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if limit_bytes is None else limit_bytes, hard))


def _fill(file: Path) -> None:
    """Write a file until its file system has no byte left."""
    block = bytes(2**20)
    with file.open("wb", buffering=0) as output, contextlib.suppress(OSError):
        for size in (len(block), 4096, 1):
            with contextlib.suppress(OSError):
                for _ in range(2 * VOLUME_BYTES // size if size > 1 else 8192):
                    output.write(block[:size])
