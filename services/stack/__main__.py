"""`python -m services.stack up` and `python -m services.stack demo`: what `make up` and `make demo` run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from services.stack.errors import StackError
from services.stack.stack import Stack, isolate_environ, python_of
from shared.process import end_with_parent

LOG_LINES = 30


def up() -> int:
    """Run the stack in the foreground. A signal ends it and every process that it started.

    Returns:
        The exit status of supervisor.

    Raises:
        StackError: the stack could not start, or was not ready in time.
        ValueError: a setting is not valid.
    """
    stack = Stack(os.environ)
    try:
        stack.start()
        stack.wait_ready()
        print(f"\nTandem is up. Its API is described at {stack.url}/docs. Press Ctrl+C to stop it.\n", flush=True)
        return stack.wait()
    finally:
        stack.stop()


def demo() -> int:
    """Start a separate stack, run `tandem demo` on it, and stop it. It can run beside `make up`.

    Returns:
        The exit status of `tandem demo`.

    Raises:
        StackError: the stack could not start, or was not ready in time.
        ValueError: a setting is not valid.
    """
    root = Path(".tandem").absolute()
    root.mkdir(exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="demo-", dir=root))
    # The datasets are shared with other stacks, so that they are downloaded only once.
    environ = isolate_environ({"TANDEM_CACHE_DIR": str(root / "data"), **os.environ}, state)
    stack = Stack(environ, log=state / "log")
    try:
        subprocess.run(
            [*python_of("gateway"), "-m", "shared.data.datasets", "mnist"],
            env=environ,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        print("Starting Redis, the gateway, and a trainer and a predictor per backend ...", flush=True)
        stack.start()
        stack.wait_ready()
        status = subprocess.run(
            [*python_of("cli"), "-m", "services.cli", "--url", stack.url, "demo"], env=environ, check=False
        ).returncode
    except StackError:
        print("".join((state / "log").open(errors="replace").readlines()[-LOG_LINES:]))
        raise
    finally:
        stack.stop()
    if status:
        print(f"The demo failed. The log of the services: {state}/log")
        return status
    shutil.rmtree(state)
    return 0


def _exit_on_signal(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's signature
    """Leave through `finally`, which stops the stack. Further signals are ignored meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0 if sys.argv[1:] == ["up"] else 130)


def main() -> int:
    """Run the command in the first argument: `up` or `demo`.

    Returns:
        The exit status.
    """
    signal.signal(signal.SIGTERM, _exit_on_signal)
    signal.signal(signal.SIGINT, _exit_on_signal)
    end_with_parent(signal.SIGTERM)  # if `make` is killed, the stack ends as well
    try:
        return {"up": up, "demo": demo}[sys.argv[1]]()
    except (StackError, ValueError) as error:
        print(f"Tandem cannot start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
