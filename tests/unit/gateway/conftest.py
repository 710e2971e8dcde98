"""A real Redis for the tests of the gateway."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from services.stack.redis_server import find_redis_server
from services.stack.stack import free_ports
from tests.polling import wait_until


@pytest.fixture
def redis_process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield a Redis server and its port."""
    (port,) = free_ports(1)
    command = [find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: Redis(port=port).ping(), message="Redis did not start")
            yield process, port
        finally:
            process.kill()
