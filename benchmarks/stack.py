"""Starts separate stacks for benchmarks, on free ports: of this commit, of changed copies and of other commits."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import running_server
from services.cli.client import Client, ClientError
from services.stack.stack import READY_TIMEOUT_S, Stack, isolate_environ
from shared.settings import Settings


def copy_project(place: Path, environments: Iterable[str]) -> None:
    """Copy the project to an empty folder, so that the copy can be changed.

    Files that git ignores are not copied.

    Args:
        place: the empty folder.
        environments: the names of the virtual environments that the copy uses. It gets symbolic links to them.
    """
    listing = ["git", "ls-files", "-co", "--exclude-standard"]
    for name in subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines():
        if Path(name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, place / name)
    link_environments(place, environments)


def copy_commit(place: Path, commit: str, environments: Iterable[str]) -> None:
    """Write the files of a commit to an empty folder.

    Args:
        place: the empty folder.
        commit: the commit, as git accepts it.
        environments: the names of the virtual environments that the copy uses.

    Raises:
        subprocess.CalledProcessError: there is no such commit.
    """
    archive = subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(place)], input=archive, check=True)
    link_environments(place, environments)


def link_environments(place: Path, environments: Iterable[str]) -> None:
    """Make symbolic links in a copy of the project to virtual environments of this project."""
    (place / ".venv").mkdir()
    for environment in environments:
        (place / ".venv" / environment).symlink_to(Path(".venv", environment).absolute())


def isolate_state(state: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a separate stack. The cache of datasets is that of `make up`.

    Args:
        state: the folder for its models, its Redis data and its logs.
        environ: settings that are added. They replace those that separate the stack from others.
    """
    cache = str(Path(".tandem/data").absolute())
    return {**isolate_environ({"TANDEM_CACHE_DIR": cache, **os.environ}, state), **environ}


@contextmanager
def running_copy(place: Path, state: Path, environ: Mapping[str, str] | None = None) -> Iterator[Client]:
    """Start the stack of a copy of the project, wait until it is ready, and stop it at the end.

    Args:
        place: the folder of the copy.
        state: the folder for its state and its log.
        environ: settings that are added.

    Yields:
        A client of the stack's gateway.

    Raises:
        SystemExit: the stack did not start. The message has the end of its log.
    """
    environ = isolate_state(state, environ or {})
    state.mkdir()
    command = [str(place / ".venv/stack/bin/python"), "-m", "services.stack", "up"]
    client = Client(f"http://127.0.0.1:{environ['TANDEM_GATEWAY_PORT']}")
    with running_server(command, place, state / "log", **environ):
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not is_ready(client):
            if time.monotonic() > deadline:
                raise SystemExit(f"the stack in {place} did not start: {(state / 'log').read_text()[-2000:]}")
            time.sleep(0.5)
        yield client


def is_ready(client: Client) -> bool:
    """Return whether all parts of a stack are up."""
    try:
        return all(state == "up" for state in client.get("/v2/health/ready")["details"].values())
    except ClientError:
        return False


@contextmanager
def running_stack(state: Path, environ: Mapping[str, str] | None = None) -> Iterator[tuple[Client, Settings]]:
    """Start a stack, wait until it is ready, and stop it at the end.

    Args:
        state: the folder for its models, its Redis data and its logs. The cache of datasets is that of `make up`.
        environ: settings that are added.

    Yields:
        A client of the stack's gateway, and the stack's settings with the login of Redis' operator.

    Raises:
        StackError: the stack did not start.
    """
    stack = Stack(isolate_state(state, environ or {}), log=state / "log")
    try:
        stack.start()
        stack.wait_ready()
        yield Client(stack.url), stack.operator_settings
    finally:
        stack.stop()
