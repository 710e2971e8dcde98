"""A Tandem of the benchmark's own, on free ports, that ends with the benchmark."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.cli.client import Client
from services.stack.stack import Stack, private_environ
from shared.settings import Settings


@contextmanager
def running_stack(state: Path) -> Iterator[tuple[Client, Settings]]:
    """Start everything with its state in a folder; a client of its gateway, and its settings."""
    cache = str(Path(".tandem/data").absolute())
    stack = Stack(private_environ({"TANDEM_CACHE_DIR": cache, **os.environ}, state), log=state / "log")
    try:
        stack.start()
        stack.wait_ready()
        yield Client(stack.url), stack.settings
    finally:
        stack.stop()
