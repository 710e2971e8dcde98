"""Learns from Redis which job has changed: one subscription for all jobs that a gateway process watches."""

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from shared.jobs.changes import CHANNEL, parse_change
from shared.jobs.connection import connect_subscriber
from shared.settings import Settings

RETRY_S = 1  # between two attempts to subscribe

log = structlog.get_logger()


class ChangeSignals:
    """Calls a function whenever a job has changed. While Redis is down, nothing is called.

    Args:
        settings: Redis's address and login.
        on_change: called with the kind and the id of the job.
        on_subscribed: called when the subscription begins, also again after an interruption. Changes before it may
            have been missed.
    """

    def __init__(
        self, settings: Settings, on_change: Callable[[str, str], None], on_subscribed: Callable[[], None]
    ) -> None:
        self._settings, self._on_change, self._on_subscribed = settings, on_change, on_subscribed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, on the running event loop. It changes nothing if it listens already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())

    def stop(self) -> None:
        """Close the connection."""
        if self._task:
            self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        async with connect_subscriber(self._settings) as redis:
            while True:
                try:
                    async with redis.pubsub() as subscription:
                        await subscription.subscribe(CHANNEL)
                        async for message in subscription.listen():
                            if message["type"] == "message":
                                if change := parse_change(message["data"]):
                                    self._on_change(*change)
                            else:
                                self._on_subscribed()
                except RedisError as error:
                    log.warning("changes of jobs are not signalled: Redis does not answer", reason=str(error))
                await asyncio.sleep(RETRY_S)
