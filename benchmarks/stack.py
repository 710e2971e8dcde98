"""Starts a separate stack for a benchmark, on free ports, and copies the project for changed stacks."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.cli.client import Client
from services.stack.stack import Stack, isolate_environ
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
    (place / ".venv").mkdir()
    for environment in environments:
        (place / ".venv" / environment).symlink_to(Path(".venv", environment).absolute())


@contextmanager
def running_stack(state: Path) -> Iterator[tuple[Client, Settings]]:
    """Start a stack, wait until it is ready, and stop it at the end.

    Args:
        state: the folder for its models, its Redis data and its logs. The cache of datasets is that of `make up`.

    Yields:
        A client of the stack's gateway, and the stack's settings with the login of Redis' operator.

    Raises:
        StackError: the stack did not start.
    """
    cache = str(Path(".tandem/data").absolute())
    stack = Stack(isolate_environ({"TANDEM_CACHE_DIR": cache, **os.environ}, state), log=state / "log")
    try:
        stack.start()
        stack.wait_ready()
        yield Client(stack.url), stack.operator_settings
    finally:
        stack.stop()
