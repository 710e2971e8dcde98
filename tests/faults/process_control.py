"""Signals, memory and states of processes, from Linux' /proc."""

import contextlib
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

from tests.faults.waiting import wait

PIPE_BYTES = 2**20  # what a process may log while supervisor is stopped


def kill(pids: list[int], signum: signal.Signals) -> None:
    """Send a signal to processes. Those that have ended already are left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def read_memory_mb(pids: list[int]) -> float:
    """Return the resident memory of processes, in MB of 1,000,000 bytes. Shared pages count once for all of them.

    The proportional set size (proc_pid_smaps(5)) divides a shared page by the number of processes that map it.
    """
    total = 0
    for pid in pids:
        for line in read_process_file(pid, "smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
    return total / 1e6


def is_alive(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    stat = read_process_file(pid, "stat")
    return bool(stat) and stat.rpartition(b")")[2].split()[0] != b"Z"


def wait_ended(pids: list[int], timeout_s: float = 15) -> None:
    """Wait until processes have ended."""
    wait(
        lambda: not any(map(is_alive, pids)), message="a killed process did not end", timeout_s=timeout_s, every_s=0.01
    )


def exit_on_sigterm() -> None:
    """Leave through `finally` at SIGTERM, so that the stack is stopped and its file system is unmounted.

    Further signals are ignored meanwhile: `timeout` sends two.
    """

    def leave(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(143)

    signal.signal(signal.SIGTERM, leave)


def sleep_s(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)


def read_process_file(pid: int, file: str) -> bytes:
    """Return a file of /proc/<pid>, or nothing if the process has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def find_process_tree(pids: list[int]) -> set[int]:
    """Return the pids of processes and of all their descendants. Any of them may end meanwhile."""
    tree: set[int] = set()
    pending = list(pids)
    while pending:
        pid = pending.pop()
        tree.add(pid)
        with contextlib.suppress(OSError):
            for thread in list(Path(f"/proc/{pid}/task").iterdir()):
                pending += map(int, read_process_file(pid, f"task/{thread.name}/children").split())
    return tree


def parent_of(pid: int) -> int:
    """Return the pid of a process's parent; 0 if the process has ended."""
    stat = read_process_file(pid, "stat")
    return int(stat.rpartition(b")")[2].split()[1]) if stat else 0


def enlarge_output_pipe(pid: int) -> None:
    """Make room for what a process logs while nobody reads its standard output."""
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        finally:
            os.close(descriptor)
