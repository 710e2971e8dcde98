"""A process as the kernel sees it: its life, bound to its parent's, and what it has used."""

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # of Linux' prctl(2)


def end_with_parent(signum: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends: called in the child."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signum)


def usage() -> dict[str, Any]:
    """What this process has used since it began: cpu_seconds, peak_memory_bytes (resident); and where it runs."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pid": os.getpid(),
        "machine": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_bytes": used.ru_maxrss * 1024,
    }
