"""Several predictors of one backend on loopback addresses, and a dispatcher that sends to them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.gateway.prediction.dispatcher import Dispatcher
from services.gateway.prediction.outcomes import Outcome
from services.stack.stack import free_ports
from shared.settings import Settings
from tests.unit.gateway.held_predictor import IMAGES, HeldPredictor

WHOLE_TEST_TIMEOUT_S = 60
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


class RunningReplicas:
    """Predictors of one backend, and a dispatcher that sends to them.

    Args:
        count: how many predictors there are.
        name: of the host in the predictors' URL; None for a list of their addresses.
    """

    def __init__(self, folder: Path, count: int = 2, name: str | None = None) -> None:
        (self.port,) = free_ports(1)
        self.predictors = {host: HeldPredictor() for host in HOSTS[:count]}
        self.servers: dict[str, asyncio.Server] = {}
        urls = ",".join(f"http://{host}:{self.port}" for host in ([name] if name else self.predictors))
        environ = {"TANDEM_STATE_DIR": str(folder), "TANDEM_BACKENDS": "toy", "TANDEM_PREDICTOR_URL": urls}
        self.dispatcher = Dispatcher(Settings.from_env(environ))

    async def listen(self, host: str) -> None:
        self.servers[host] = await asyncio.start_server(self.predictors[host].serve, host, self.port)

    def kill(self, host: str) -> None:
        """Close a predictor's socket and its connections, as the end of its process does."""
        self.servers.pop(host).close()
        self.predictors[host].abort_connections()

    async def stop(self, host: str) -> None:
        """Do the same, and wait until nothing serves the connections."""
        self.servers.pop(host).close()
        await self.predictors[host].close_connections()

    async def predict(self, version: int = 1) -> Outcome:
        return (await self.dispatcher.predict(("toy",), "m", version, IMAGES))["toy"]

    def calls(self) -> list[int]:
        return [predictor.calls for predictor in self.predictors.values()]

    async def wait_for_count(self, up: int, down: int = 0) -> None:
        while self.dispatcher.count_predictors("toy") != (up, down):
            await asyncio.sleep(0.01)

    async def wait_for_checks(self) -> None:
        """Wait until each predictor that listens has been asked for its health, so that connections are kept."""
        while not all(self.predictors[host].health_checks for host in self.servers):
            await asyncio.sleep(0.01)


def run(running: RunningReplicas, test: Callable[[RunningReplicas], Awaitable[None]]) -> None:
    """Run a test while the predictors and the dispatcher run."""

    async def body() -> None:
        for host in running.predictors:
            await running.listen(host)
        running.dispatcher.start(asyncio.get_running_loop())
        try:
            await test(running)
        finally:
            running.dispatcher.close()
            for host in list(running.servers):
                await running.stop(host)

    asyncio.run(asyncio.wait_for(body(), WHOLE_TEST_TIMEOUT_S))
