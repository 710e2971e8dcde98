"""A Redis server of one's own, started as `make up` starts it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from services.stack.redis_server import RedisServer
from shared.jobs.connection import connect
from shared.settings import Settings
from tests.polling import wait_until


class RunningRedis:
    """A state folder with a Redis server.

    Attributes:
        settings: the settings of the stack.
        server: what prepares the server.
    """

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self.settings = Settings.from_env(environ)
        self.server = RedisServer(self.settings)

    @contextmanager
    def running(self) -> Iterator["RunningRedis"]:
        """Run the server."""
        process = subprocess.Popen(self.server.prepare(), stdout=subprocess.DEVNULL)

        def answers() -> bool:
            assert process.poll() is None, "Redis ended"
            try:
                return bool(self.client("operator").ping())
            except RedisConnectionError:
                return False

        try:
            wait_until(answers, message="Redis does not answer")
            yield self
        finally:
            process.terminate()
            process.wait(20)

    def client(self, user: str) -> Redis:
        """Return a client that logs in as a user."""
        if user == "health":  # it has no password
            return Redis.from_url(self.settings.redis_url, username=user, password="none")
        return connect(Settings.from_env({**self._environ, **self.server.login(user)}), patient=False)

    def version(self) -> int:
        """Return the first number of the server's version."""
        return int(self.client("operator").info("server")["redis_version"].split(".")[0])


@pytest.fixture
def state(tmp_path: Path) -> RunningRedis:
    """Return a Redis that does not run yet, in a folder of its own."""
    return RunningRedis({"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_BACKENDS": "tensorflow,pytorch"})


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis]:
    """Yield a running Redis with the users of two backends."""
    folder = tmp_path_factory.mktemp("redis")
    with RunningRedis({"TANDEM_STATE_DIR": str(folder), "TANDEM_BACKENDS": "tensorflow,pytorch"}).running() as found:
        yield found
