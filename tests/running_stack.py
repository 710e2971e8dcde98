"""A running Tandem for a whole suite: real Redis, real processes and real HTTP."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.stack.stack import Stack, isolate_environ

READY_TIMEOUT_S = 300


@contextmanager
def running_suite_stack() -> Iterator[Stack]:
    """Run a stack with free ports and a state folder of its own, which is removed if all went well.

    Tests create their datasets in the folder `own` of the state folder. MNIST is in it if this machine has it.
    """
    root = Path(".tandem").absolute()
    root.mkdir(exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="test-", dir=root))
    own = state / "own"
    own.mkdir()
    mnist = Path(os.environ.get("TANDEM_DATA_DIR", "data"), "mnist").absolute()
    if mnist.is_dir():
        (own / "mnist").symlink_to(mnist)
    environ = {"TANDEM_CACHE_DIR": str(root / "data"), **os.environ, "TANDEM_DATA_DIR": str(own)}
    stack = Stack(isolate_environ(environ, state), log=state / "log")
    with started(stack, state / "log"):
        yield stack
    shutil.rmtree(state, ignore_errors=True)  # a process that ended just now may still remove its own files


@contextmanager
def started(stack: Stack, log: Path) -> Iterator[None]:
    """Start a stack, and stop it at the end. If anything fails, the end of its log is printed."""
    try:
        stack.start()
        stack.wait_ready(timeout_s=READY_TIMEOUT_S)
        yield
    except BaseException:
        print(log.read_text(errors="replace")[-5000:])
        raise
    finally:
        stack.stop()
