"""A running Tandem for a whole suite: real Redis, real processes and real HTTP."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from services.stack.stack import Stack, free_ports, isolate_environ, python_of
from tests.polling import wait_until
from tests.stack.processes import find_processes

READY_TIMEOUT_S = 300


@contextmanager
def running_suite_stack(
    variables: Mapping[str, str] | None = None, *, trainers: int = 1, predictors: int = 1
) -> Iterator[Stack]:
    """Run a stack with free ports and a state folder of its own, which is removed if all went well.

    Tests create their datasets in the folder `own` of the state folder. MNIST is in it if this machine has it.

    Args:
        variables: further settings.
        trainers: how many trainers each backend has.
        predictors: how many predictors each backend has.
    """
    root = Path(".tandem").absolute()
    root.mkdir(exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="test-", dir=root))
    own = state / "own"
    own.mkdir()
    mnist = Path(os.environ.get("TANDEM_DATA_DIR", "data"), "mnist").absolute()
    if mnist.is_dir():
        (own / "mnist").symlink_to(mnist)
    environ = {"TANDEM_CACHE_DIR": str(root / "data"), **os.environ, "TANDEM_DATA_DIR": str(own), **(variables or {})}
    stack = Stack(isolate_environ(environ, state), state / "log", trainers=trainers, predictors=predictors)
    with started(stack, state / "log"):
        yield stack
    shutil.rmtree(state, ignore_errors=True)  # a process that ended just now may still remove its own files


@contextmanager
def started_gateway(stack: Stack) -> Iterator[str]:
    """Run a second gateway with the Redis, the volumes and the predictors of a running stack. Yield its URL."""
    (first, *_) = find_processes(stack.settings, "services.gateway")
    pairs = [pair.partition("=") for pair in Path(f"/proc/{first}/environ").read_text().split("\0") if pair]
    port = free_ports(1)[0]
    environ = {name: value for name, _, value in pairs} | {"TANDEM_GATEWAY_PORT": str(port), "TANDEM_PUBLIC_PORT": ""}
    with (stack.settings.state_dir / "log").open("ab") as log:
        process = subprocess.Popen(
            [*python_of("gateway"), "-m", "services.gateway"], env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:

        def is_live() -> bool:
            assert process.poll() is None, "the second gateway ended; the stack's log says why"
            return requests.get(f"{url}/v2/health/live", timeout=5).ok

        wait_until(is_live, message="the second gateway is not live", timeout_s=READY_TIMEOUT_S)
        yield url
    finally:
        process.terminate()
        process.wait(30)


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
