"""The states of jobs for those who watch them. However many watch a job, one reader reads it from Redis.

The reader reads when Redis signals a change (`change_signals.py`), and every REREAD_S seconds in case a signal was
lost. It renders the state once, for all watchers. A watcher that cannot keep up skips states: nothing is queued.
While Redis is down, watchers keep the last state and wait.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import structlog
from redis.exceptions import RedisError
from werkzeug.exceptions import TooManyRequests

from services.gateway.feeds.change_signals import ChangeSignals
from shared.errors import NotFoundError, UnavailableError
from shared.settings import Settings
from shared.web.routes import run_in_thread

HEARTBEAT_S = 15  # a watcher gets something at least so often, so that no proxy takes its connection for dead
REREAD_S = 3  # a job is read again after so long without a signal
GATHER_S = 0.01  # a trainer often reports several changes at once: they are read together
PAUSE_S = 0.1  # from a read to the next one, at least
PAUSE_S_PER_MB = 1.0  # more for large states, which are sent to each watcher
READER_THREADS = 4
# Each watcher occupies a connection, of which a process has 1,024, and 768 for one address (`ConnectionLimits`).
MAX_WATCHERS = 512
MAX_WATCHERS_PER_CLIENT = 256
RETRY_AFTER_S = 10

log = structlog.get_logger()


@dataclass(frozen=True)
class JobState:
    """The state of a job at one moment.

    Attributes:
        body: what GET returns: JSON without line breaks.
        has_ended: whether the job has ended, so that this is its last state.
        digest: of the body. States are equal if their digests are.
    """

    body: bytes
    has_ended: bool
    digest: str

    @classmethod
    def of(cls, body: bytes, has_ended: bool) -> "JobState":
        """Return a state with the digest of its body."""
        return cls(body, has_ended, blake2b(body, digest_size=12).hexdigest())


class JobFeed:
    """Reads one job until it ends. Create it on the event loop.

    Args:
        read: reads the job's state. It blocks, and may raise any error.
        threads: where `read` runs.

    Attributes:
        watchers: how many use this feed.
        is_over: whether nothing will be read any more.
    """

    def __init__(self, read: Callable[[], JobState], threads: ThreadPoolExecutor) -> None:
        self.watchers = 0
        self.is_over = False
        self._read, self._threads = read, threads
        self._state: JobState | None = None
        self._error: Exception | None = None
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(self._read_repeatedly())

    def wake(self) -> None:
        """Read the job soon, because it may have changed."""
        self._wake.set()

    def close(self) -> None:
        """Stop reading."""
        self._task.cancel()

    @property
    def has_failed(self) -> bool:
        """Return whether reading has failed, so that the feed has no newer states."""
        return self._error is not None

    async def read_first(self) -> JobState:
        """Return the job's current state.

        Raises:
            NotFoundError: there is no such job.
            RedisError: Redis does not answer.
        """
        while self._state is None:
            if self._error:
                raise self._error
            await asyncio.wait([self._changed])
        return self._state

    async def follow(self) -> AsyncGenerator[JobState | None, None]:
        """Yield the current state, then each newer one, and None after each HEARTBEAT_S without one.

        It ends behind the job's last state. It also ends if the job's record has expired.
        """
        seen = None
        while True:
            changed, state = self._changed, self._state
            if state is not seen:
                seen = state
                yield state
            elif self.is_over:
                return
            else:
                await asyncio.wait([changed], timeout=HEARTBEAT_S)
                if not changed.done():
                    yield None

    async def _read_repeatedly(self) -> None:
        while not self.is_over:
            self._wake.clear()
            try:
                state = await run_in_thread(self._threads, self._read)
            except Exception as error:
                if self._state is None or not isinstance(error, RedisError):
                    self._end(error)
                    return
            else:
                self.is_over = state.has_ended
                if self._state is None or state.digest != self._state.digest:
                    self._state = state
                    self._announce()
                elif self.is_over:
                    self._announce()
            size = len(self._state.body) if self._state else 0
            await asyncio.sleep(PAUSE_S + PAUSE_S_PER_MB * size / 1e6)
            try:
                async with asyncio.timeout(REREAD_S):
                    await self._wake.wait()
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                pass

    def _end(self, error: Exception) -> None:
        """End the feed without a last state."""
        if self._state is not None and not isinstance(error, NotFoundError):
            log.error("a job can no longer be read", exc_info=error)
        self._error, self.is_over = error, True
        self._announce()

    def _announce(self) -> None:
        """Let all watchers go on."""
        self._changed.set_result(None)
        self._changed = self._loop.create_future()


class Watch:
    """One client's use of a feed. It has to be closed.

    Args:
        feed: of the job.
        first: the job's current state.
        on_close: called once.
    """

    def __init__(self, feed: JobFeed, first: JobState, on_close: Callable[[], None]) -> None:
        self.first = first
        self.follow = feed.follow
        self._on_close: Callable[[], None] | None = on_close

    def close(self) -> None:
        """Stop watching. Closing again changes nothing."""
        if self._on_close:
            self._on_close()
            self._on_close = None


class JobFeeds:
    """The feeds of all jobs that are being watched in this process. Its methods run on the event loop.

    Args:
        settings: Redis's address and login.
    """

    def __init__(self, settings: Settings) -> None:
        self._feeds: dict[tuple[str, str], JobFeed] = {}
        self._clients: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(READER_THREADS, "feed")
        self._signals = ChangeSignals(settings, self._wake, self._wake_all)

    async def watch(self, kind: str, identity: str, read: Callable[[], JobState], client: str) -> Watch:
        """Begin to watch a job.

        Args:
            kind: the kind of the job.
            identity: its id.
            read: reads its state; it blocks.
            client: who watches.

        Raises:
            NotFoundError: there is no such job.
            TooManyRequests: the client watches too many jobs.
            UnavailableError: too many jobs are being watched.
            RedisError: Redis does not answer.
        """
        self._check_limits(client)
        key = kind, identity
        feed = self._feeds.get(key)
        if feed is None or feed.has_failed:
            feed = self._feeds[key] = JobFeed(read, self._threads)
            self._signals.start()
        feed.watchers += 1
        self._clients[client] += 1
        try:
            first = await feed.read_first()
        except BaseException:
            self._leave(key, feed, client)
            raise
        return Watch(feed, first, lambda: self._leave(key, feed, client))

    async def close(self) -> None:
        """End all feeds, and wait until the connection to Redis is closed."""
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        await self._signals.close()

    def _check_limits(self, client: str) -> None:
        if self._clients[client] >= MAX_WATCHERS_PER_CLIENT:
            raise TooManyRequests(
                f"a client may watch {MAX_WATCHERS_PER_CLIENT} jobs at the same time: close a stream, or read the job "
                "without /events",
                retry_after=RETRY_AFTER_S,
            )
        if self._clients.total() >= MAX_WATCHERS:
            raise UnavailableError(
                f"{MAX_WATCHERS} streams of events are open already: read the job without /events, or try again later"
            )

    def _leave(self, key: tuple[str, str], feed: JobFeed, client: str) -> None:
        feed.watchers -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        if feed.watchers:
            return
        feed.close()
        if self._feeds.get(key) is feed:
            del self._feeds[key]
        if not self._feeds:
            self._signals.stop()

    def _wake(self, kind: str, identity: str) -> None:
        if feed := self._feeds.get((kind, identity)):
            feed.wake()

    def _wake_all(self) -> None:
        for feed in self._feeds.values():
            feed.wake()
