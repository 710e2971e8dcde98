"""Learns from Redis which job has changed: one connection for all jobs that a gateway process watches."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.jobs.changes import CHANGES_KEY, MAX_CHANGES, parse_change
from shared.jobs.connection import connect_listener
from shared.settings import Settings

BLOCK_S = 2  # how long Redis waits for a change before it answers that there was none
RETRY_S = 1  # between two attempts, while Redis does not answer

log = structlog.get_logger()


class ChangeSignals:
    """Calls a function whenever a job has changed. While Redis is down, nothing is called.

    Args:
        settings: Redis's address and login.
        on_change: called with the kind and the id of the job.
        on_start: called when listening begins, also again after an interruption. Changes before it may be missed.
    """

    def __init__(self, settings: Settings, on_change: Callable[[str, str], None], on_start: Callable[[], None]) -> None:
        self._settings, self._on_change, self._on_start = settings, on_change, on_start
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = False

    def start(self) -> None:
        """Begin to listen, on the running event loop. It changes nothing if it listens already."""
        self._is_wanted = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen_while_wanted())

    def stop(self) -> None:
        """Stop listening, within BLOCK_S.

        The task is not cancelled: redis-py leaves the socket open if it is cancelled while it connects.
        """
        self._is_wanted = False

    async def close(self) -> None:
        """Stop listening, and wait until the connection is closed."""
        self.stop()
        if self._task:
            await self._task

    def _goes_on(self) -> bool:
        """Return whether to go on listening.

        redis-py may swallow the cancellation of a task, which then only this method notices.
        """
        task = asyncio.current_task()
        return self._is_wanted and not (task and task.cancelling())

    async def _listen_while_wanted(self) -> None:
        try:
            async with connect_listener(self._settings, BLOCK_S) as redis:
                while self._goes_on():
                    try:
                        await self._listen(redis)
                    except RedisError as error:
                        log.warning("changes of jobs are not signalled: Redis does not answer", reason=str(error))
                        await asyncio.sleep(RETRY_S)
                    except Exception as error:  # feeds go on without signals: they read every few seconds
                        log.error("changes of jobs are not signalled", exc_info=error)
                        await asyncio.sleep(RETRY_S)
                self._task = None  # from now on, while the connection is being closed, a start makes another task
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _listen(self, redis: Redis) -> None:
        """Pass on each change while somebody wants it.

        Raises:
            RedisError: Redis does not answer.
        """
        newest = await redis.xrevrange(CHANGES_KEY, count=1)
        position = cast(bytes, newest[0][0]) if newest else b"0-0"
        self._on_start()
        while self._goes_on():
            streams: Any = await redis.xread({CHANGES_KEY: position}, count=MAX_CHANGES, block=BLOCK_S * 1000)
            for _, entries in streams:  # none if Redis waited in vain
                for _, entry in entries:
                    if change := parse_change(entry):
                        self._on_change(*change)
                position = entries[-1][0]
