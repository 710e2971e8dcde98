"""Find the processes of a running stack, so that a test can stop or kill one."""

from pathlib import Path

from redis import Redis
from rq import Queue, Worker

from shared.settings import Settings


def find_processes(settings: Settings, module: str) -> list[int]:
    """Return the pids of this stack's processes that run `python -m <module>`.

    A process belongs to this stack if its environment names this stack's state folder.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environ = (folder / "environ").read_bytes()
        except (OSError, UnicodeDecodeError):
            continue
        if command.rstrip().endswith(f"-m {module}") and str(settings.state_dir).encode() in environ:
            found.append(int(folder.name))
    return sorted(found)


def find_gateway(settings: Settings) -> tuple[int, list[int]]:
    """Return the pid of the gateway's parent process, and those of its children, which serve."""
    pids = find_processes(settings, "services.gateway")
    (parent,) = (pid for pid in pids if _parent_of(pid) not in pids)
    return parent, [pid for pid in pids if pid != parent]


def _parent_of(pid: int) -> int:
    """Return the pid of a process's parent: the second field behind the command's name in proc_pid_stat(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def find_worker(redis: Redis, backend: str) -> Worker:
    """Return RQ's worker of a backend's trainer."""
    (worker,) = Worker.all(queue=Queue(backend, connection=redis, serializer="json"))
    return worker


def find_work_horses(redis: Redis, backend: str = "pytorch") -> list[int]:
    """Return the pids of the child processes in which a backend's trainer runs its jobs: none while it is idle."""
    pid = find_worker(redis, backend).pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
