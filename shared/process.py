"""A child process whose life is bound to its parent's, however that ends."""

import ctypes
import signal

_LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # of Linux' prctl(2)


def end_with_parent(signum: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends: called in the child."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signum)
