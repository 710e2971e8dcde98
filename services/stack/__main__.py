"""`python -m services.stack up` and `... demo`: what `make up` and `make demo` run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from services.stack.stack import Stack, StackError, private_environ, python_of
from shared.process import end_with_parent

LOG_LINES = 30


def up() -> int:
    """The stack in the foreground, until a signal ends it and all it started."""
    stack = Stack(os.environ)
    try:
        stack.start()
        stack.wait_ready()
        print(f"\nTandem is up: {stack.url}/docs shows the API. Ctrl+C ends it.\n", flush=True)
        return stack.wait()
    finally:
        stack.stop()


def demo() -> int:
    """Train, evaluate and predict with a stack of its own, then stop it."""
    root = Path(".tandem").absolute()
    root.mkdir(exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="demo-", dir=root))
    environ = {"TANDEM_CACHE_DIR": str(root / "data"), **os.environ}
    environ = private_environ(environ, state)
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
        code = subprocess.run(
            [*python_of("cli"), "-m", "services.cli", "--url", stack.url, "demo"], env=environ, check=False
        ).returncode
    except StackError:
        print("".join((state / "log").open(errors="replace").readlines()[-LOG_LINES:]))
        raise
    finally:
        stack.stop()
    if code:
        print(f"The demo failed. What the services said: {state}/log")
        return code
    shutil.rmtree(state)
    return 0


def _end(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's signature
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0 if sys.argv[1:] == ["up"] else 130)


def main() -> int:
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    end_with_parent(signal.SIGTERM)  # `make` ends, and so do we
    try:
        return {"up": up, "demo": demo}[sys.argv[1]]()
    except (StackError, ValueError) as error:
        print(f"Tandem cannot start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
