"""A real Redis for the tests of jobs, and the settings that lead to it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from services.stack.redis_server import find_redis_server
from services.stack.stack import free_ports
from shared.settings import Settings
from tests.polling import wait_until


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Yield the port of a Redis server that stores nothing."""
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("redis")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([find_redis_server(), *options], stdout=subprocess.DEVNULL)
    try:
        with Redis(port=port) as connection:
            wait_until(connection.ping, message="Redis did not start")
        yield port
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def redis(redis_port: int) -> Iterator[Redis]:
    """Yield a connection to an empty Redis."""
    with Redis(port=redis_port) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def settings(redis_port: int, tmp_path: Path) -> Settings:
    """Return settings with this Redis, and with a state folder of the test's own."""
    environ = {"TANDEM_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", "TANDEM_STATE_DIR": str(tmp_path)}
    return Settings.from_env({**environ, "TANDEM_BACKENDS": "toy,other", "TANDEM_MAX_QUEUED": "3"})
