"""Starts server processes, finds them, and reads their CPU time and memory from Linux' /proc."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from shared.process import end_with_parent

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SHUTDOWN_TIMEOUT_S = 10


def list_process_tree(pids: list[int]) -> set[int]:
    """Return the ids of processes and of all their descendants."""
    tree: set[int] = set()
    pending = list(pids)
    while pending:
        pid = pending.pop()
        tree.add(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            pending += map(int, _read(children).split())
    return tree


def _read(path: Path) -> bytes:
    """Return the content of a process's file in /proc, or nothing if the process has ended."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def find_child_processes(module: str, **environ: str) -> list[int]:
    """Return the ids of this process's descendants that run a Python module.

    Args:
        module: the module's name, which is an argument in the command line.
        environ: variables that the process got when it started.
    """
    variables = {f"{name}={value}".encode() for name, value in environ.items()}
    return [
        pid
        for pid in list_process_tree([os.getpid()])
        if module.encode() in _read(Path(f"/proc/{pid}/cmdline")).split(b"\0")
        and variables <= set(_read(Path(f"/proc/{pid}/environ")).split(b"\0"))
    ]


def read_cpu_seconds(pids: list[int]) -> float:
    """Return the user and system time that processes and their descendants have used since they started.

    Processes that have ended do not count. So none may end between two calls whose results are subtracted.
    """
    texts = [_read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2] for pid in list_process_tree(pids)]
    # Behind the command's name, utime and stime have the indices 11 and 12: proc_pid_stat(5).
    return sum(int(stat[11]) + int(stat[12]) for stat in map(bytes.split, texts) if stat) / TICKS_PER_SECOND


def read_peak_memory_mb(pids: list[int]) -> float:
    """Return the sum of the peak resident memory of processes and their descendants.

    Memory that processes share counts for each of them. A megabyte is 1,000 of the kB in /proc.
    """
    return sum(_read_sizes_kb(pid, "status").get("VmHWM", 0) for pid in list_process_tree(pids)) / 1000


def _read_sizes_kb(pid: int, file: str) -> dict[str, int]:
    """Return the sizes in a file of /proc/<pid> whose lines are `name: number kB`."""
    lines = [line.split() for line in _read(Path(f"/proc/{pid}/{file}")).decode().splitlines()]
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}


class Memory(NamedTuple):
    """Resident memory of processes and their descendants, in megabytes of 1,000 of the kB in /proc.

    Attributes:
        peak_mb: the sum of the peaks. Memory that processes share counts for each of them.
        proportional_mb: the sum now (PSS). Memory that n processes share counts as an nth for each of them.
        unique_mb: the sum now of the memory that no other process has (USS).
    """

    peak_mb: float
    proportional_mb: float
    unique_mb: float


def read_memory(pids: list[int]) -> Memory:
    """Return the memory of processes and their descendants."""
    sizes_kb = [_read_sizes_kb(pid, "smaps_rollup") for pid in list_process_tree(pids)]

    def sum_mb(*names: str) -> float:
        return sum(sizes.get(name, 0) for sizes in sizes_kb for name in names) / 1000

    private = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
    return Memory(read_peak_memory_mb(pids), sum_mb("Pss"), sum_mb(*private))


@contextmanager
def running_server(command: list[str], folder: Path, log: Path, **environ: str) -> Iterator[int]:
    """Start a server, and stop it and its descendants at the end.

    Args:
        command: the program and its arguments.
        folder: the working directory.
        log: the file for the server's output. An existing file is replaced.
        environ: variables that are added to the environment of this process.

    Yields:
        The process id.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(signal.SIGTERM),  # noqa: PLW1509 - this process has one thread
        )
    try:
        yield server.pid
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(SHUTDOWN_TIMEOUT_S)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # the server's children may have survived it
        server.wait()
