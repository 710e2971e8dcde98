"""`python -m services.stack up` and `python -m services.stack demo [--keep]`: what `make up` and `make demo` run."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from services.stack.errors import StackError
from services.stack.stack import Stack, isolate_environ, python_of
from shared.process import end_with_parent
from shared.settings import Settings

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
        print(
            f"\nOpen {stack.url} in a browser to use Tandem.\n"
            f"Tandem is up. Its API is described at {stack.url}/docs. Press Ctrl+C to stop it.\n",
            flush=True,
        )
        return stack.wait()
    finally:
        stack.stop()


def demo(is_kept: bool) -> int:
    """Start a separate stack, run `tandem demo` on it, and stop it. It can run beside `make up`.

    Args:
        is_kept: leave the stack running after the demo, until a signal comes. Its address is printed.

    Returns:
        The exit status of `tandem demo`; if the stack was kept and ended without a signal, that of supervisor.

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
        command = [*python_of("cli"), "-m", "services.cli", "--url", stack.url, "demo"]
        status = subprocess.run(command + ([] if is_kept else ["--server-stops"]), env=environ, check=False).returncode
        if is_kept and status == 0:
            print("Press Ctrl+C to stop the demo. Its models are then removed.", flush=True)
            status = _wait_for_signal(stack)
    except StackError:
        print("".join((state / "log").open(errors="replace").readlines()[-LOG_LINES:]))
        raise
    finally:
        stack.stop()
    if status:
        print(f"The demo failed. The log of the services: {state}/log")
        return status
    shutil.rmtree(state, ignore_errors=True)  # a process that was killed may still remove its own files
    if not is_kept:
        print(
            f"\nOpen http://127.0.0.1:{Settings.from_env(os.environ).gateway_port} in a browser after one of these:\n"
            "  make up                      run Tandem without containers\n"
            "  docker compose up --build    run Tandem in containers\n"
            "`make demo KEEP=1` repeats this demo, and leaves its page running. README.md describes the first steps."
        )
    return 0


def _wait_for_signal(stack: Stack) -> int:
    """Wait until a signal comes, and return 0; or until supervisor ends, and return its exit status."""
    with suppress(SystemExit):
        return stack.wait()
    return 0


def _exit_on_signal(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's signature
    """Leave through `finally`, which stops the stack. Further signals are ignored meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0 if sys.argv[1:] == ["up"] else 130)


def main() -> int:
    """Run the command that the arguments name: `up`, or `demo` with or without `--keep`.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m services.stack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up")
    commands.add_parser("demo").add_argument("--keep", action="store_true", help="leave the demo's page running")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _exit_on_signal)
    signal.signal(signal.SIGINT, _exit_on_signal)
    end_with_parent(signal.SIGTERM)  # if `make` is killed, the stack ends as well
    try:
        return up() if arguments.command == "up" else demo(is_kept=arguments.keep)
    except (StackError, ValueError) as error:
        print(f"Tandem cannot start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
