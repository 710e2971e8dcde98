"""Starts server processes, finds them, and reads their CPU time and memory from Linux' /proc."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
            pending += map(int, children.read_text().split())
    return tree


def find_child_processes(module: str) -> list[int]:
    """Return the ids of this process's descendants whose command line has the name of a Python module."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in list_process_tree([os.getpid()])}
    return [pid for pid, command in commands.items() if module.encode() in command]


def read_cpu_seconds(pids: list[int]) -> float:
    """Return the user and system time that processes and their descendants have used since they started.

    Processes that have ended do not count. So none may end between two calls whose results are subtracted.
    """
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in list_process_tree(pids)]
    # Behind the command's name, utime and stime have the indices 11 and 12: proc_pid_stat(5).
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS_PER_SECOND


def read_peak_memory_mb(pids: list[int]) -> float:
    """Return the sum of the peak resident memory of processes and their descendants.

    Memory that processes share counts for each of them. A megabyte is 1,000 of the kB in /proc.
    """
    lines = [line for pid in list_process_tree(pids) for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


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
        try:
            server.wait(SHUTDOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
