"""Calls to the operating system that several services need.

A file is written atomically, a child process ends with its parent, and a process reports its own resource usage.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

_LIBC = ctypes.CDLL(None)
MAY_SUCCEED_LATER = 75  # the exit status EX_TEMPFAIL of sysexits.h
OPEN_FILES = 4096  # of a server: four times as many as connections
PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29  # options of Linux' prctl(2)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644, sync: bool = False, replace: bool = True) -> None:
    """Write a file so that every reader finds all of its bytes or no file.

    The bytes go to a temporary file in the same folder, which is then renamed or linked to `path`. If writing
    fails, an existing file stays as it was, and the temporary file is removed. A process that is killed while it
    writes leaves the temporary file, named `.{name}.{random}.tmp`.

    Args:
        path: where the file will be. Its folder must exist.
        data: the whole content.
        mode: the permissions of the new file. The umask does not apply.
        sync: wait until the file and its name are on the disk, so that they survive a power failure.
        replace: replace an existing file. If False, an existing file stays and `data` is discarded; of several
            processes that write at the same time, the first one wins.

    Raises:
        OSError: the folder does not exist, is not writable, or the disk is full.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: after a file in it was created, renamed or removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def end_with_parent(signum: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent process ends.

    Call it in the child. Linux only. The signal is sent when the thread that started the child ends, see prctl(2).
    """
    _LIBC.prctl(PR_SET_PDEATHSIG, signum)


def run_in_child(function: Callable[[], object]) -> bool:
    """Call a function in a process that is forked for it, and wait until it ends.

    Some libraries start threads when they are first used. A process that forks others must not use these itself.

    Args:
        function: what to do. An OSError in it means that it may succeed later; every other error is logged.

    Returns:
        Whether it succeeded.

    Raises:
        RuntimeError: it raised another error than an OSError.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            end_with_parent(signal.SIGKILL)
            function()
            status = 0
        except OSError:
            status = MAY_SUCCEED_LATER
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, MAY_SUCCEED_LATER):
        raise RuntimeError(f"a child process ended with status {status}")
    return status == 0


def raise_file_limit() -> None:
    """Let a server's process have as many open files as connections and models need. Many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def set_timer_slack(nanoseconds: int) -> None:
    """Set how late the kernel may wake the calling thread, and threads that it starts later, from a sleep.

    The kernel's default is 50,000 ns. Linux only, see PR_SET_TIMERSLACK in prctl(2).
    """
    _LIBC.prctl(PR_SET_TIMERSLACK, nanoseconds)


class ProcessUsage(TypedDict):
    """A process, its machine, and the resources that it has used since it started.

    Attributes:
        pid: the process id.
        machine: an id of the machine that changes at every boot: processes with the same id share their cores.
        cpu_seconds: the time that all threads spent computing, in user and in system mode.
        peak_memory_bytes: the largest resident memory.
    """

    pid: int
    machine: str
    cpu_seconds: float
    peak_memory_bytes: int


def usage() -> ProcessUsage:
    """Return the resource usage of this process so far. Linux only."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pid": os.getpid(),
        "machine": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_bytes": used.ru_maxrss * 1024,
    }
