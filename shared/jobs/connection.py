"""Connections to Redis: how long a process waits for Redis, and as which user it logs in."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.settings import Settings

PATIENT_TIMEOUT_S = 3
"""Seconds that a patient client waits for one reply. It is longer than any command of a worker blocks."""
PAUSE_S = 0.5  # for which an impatient client does not ask again after Redis has not answered
LOGGED_AFTER = 5  # failures in a row, which take about two seconds
# What Redis replies while it refuses writes: memory is full, the disk is full, or it is a replica. A script repeats it
# inside its own message.
REFUSALS = ("OOM command not allowed", "MISCONF", "READONLY")

log = structlog.get_logger()

T = TypeVar("T")


def connect(settings: Settings, patient: bool) -> Redis:
    """Return a client of Redis. It connects when it is first used.

    Args:
        settings: Redis's address, and the user and the password of this process.
        patient: True for a trainer, which waits until Redis comes back and accepts writes. False for the gateway, which
            gives up within two seconds, because a client waits for its answer.

    Raises:
        OSError: the file with the password cannot be read.
    """
    if patient:
        return _client(settings, PatientRetry(), PATIENT_TIMEOUT_S)
    return _client(settings, ImpatientRetry(), 1)


def connect_observer(settings: Settings) -> Redis:
    """Return a client that never retries: each command succeeds within a second, or raises.

    Raises:
        OSError: the file with the password cannot be read.
    """
    return _client(settings, Retry(NoBackoff(), 0), 1)


def connect_listener(settings: Settings, block_s: float) -> AsyncRedis:
    """Return a client for an event loop that waits for something to happen. It never retries by itself.

    Args:
        settings: Redis's address, and the user and the password of this process.
        block_s: how long Redis may keep a command waiting.

    Raises:
        OSError: the file with the password cannot be read.
    """
    user, password = _login(settings)
    return AsyncRedis.from_url(
        settings.redis_url,
        retry=AsyncRetry(NoBackoff(), 0),
        protocol=2,  # replies of XREAD are lists, whatever redis-py prefers
        socket_connect_timeout=1,
        socket_timeout=block_s + PATIENT_TIMEOUT_S,
        username=user,
        password=password,
    )


def _client(settings: Settings, retry: Retry, timeout_s: float) -> Redis:
    user, password = _login(settings)
    return Redis.from_url(
        settings.redis_url,
        retry=retry,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        username=user,
        password=password,
    )


def _login(settings: Settings) -> tuple[str | None, str | None]:
    """Return the user and the password of this process; both are None if Redis knows no users."""
    if not settings.redis_password_file:
        return None, None
    return settings.redis_user, settings.redis_password_file.read_text().strip()


class ImpatientRetry(Retry):
    """Repeats a command once. If Redis still does not answer, all commands fail at once for a moment.

    Without this pause, each request that reads Redis would hold a thread of the gateway for two seconds while Redis is
    frozen, and requests that need no Redis would wait for a thread.
    """

    __hash__ = Retry.__hash__

    def __init__(self) -> None:
        """Wait 0.1 s before the repetition."""
        super().__init__(ExponentialWithJitterBackoff(base=0.05, cap=0.1), 1)
        self._silent_until_s = 0.0  # in seconds of `time.monotonic`

    def __deepcopy__(self, memo: object) -> "ImpatientRetry":
        """Return the same object: redis-py copies it for each connection, and all connections share the pause."""
        return self

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[[Exception], object] | Callable[[Exception, int], object],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """Call `do`, and a second time if Redis does not answer.

        Args:
            do: sends the command.
            fail: called after each failure.
            is_retryable: called with an error; returns False to give up.
            with_failure_count: call `fail` with the number of failures too.

        Returns:
            What `do` returned.

        Raises:
            RedisTimeoutError: Redis did not answer a moment ago.
        """
        if time.monotonic() < self._silent_until_s:
            raise RedisTimeoutError("Redis did not answer a moment ago")
        try:
            return super().call_with_retry(do, fail, is_retryable, with_failure_count)
        except (ConnectionError, RedisTimeoutError):
            self._silent_until_s = time.monotonic() + PAUSE_S
            raise


class PatientRetry(Retry):
    """Repeats a command until Redis answers and accepts it, at least every two seconds.

    A command is repeated while Redis is down or loads its file, and while it refuses writes. Therefore every command
    of a patient client must have the same effect if Redis executes it twice.
    """

    __hash__ = Retry.__hash__

    def __init__(self) -> None:
        """Wait 0.1 s at first, and 2 s at most."""
        errors = (ConnectionError, RedisTimeoutError, TimeoutError, ResponseError)
        super().__init__(ExponentialWithJitterBackoff(base=0.1, cap=2), -1, errors)

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[[Exception], object] | Callable[[Exception, int], object],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """Call `do` until it succeeds or raises an error that does not pass by itself.

        Args:
            do: sends the command.
            fail: called after each failure.
            is_retryable: called with an error; returns False to give up.
            with_failure_count: call `fail` with the number of failures too.

        Returns:
            What `do` returned.
        """
        failures = 0

        def is_temporary(error: Exception) -> bool:
            nonlocal failures
            failures += 1
            if not passes(error) or (is_retryable and not is_retryable(error)):
                return False
            if failures == LOGGED_AFTER:
                log.warning("waiting for Redis", reason=str(error))
            return True

        return super().call_with_retry(do, fail, is_temporary, with_failure_count)


def passes(error: Exception) -> bool:
    """Return whether an error of Redis passes by itself: Redis is down, is loading, or refuses writes for now."""
    if isinstance(error, AuthenticationError):
        return False
    if not isinstance(error, ResponseError):
        return True
    return isinstance(error, OutOfMemoryError | ReadOnlyError) or any(text in str(error) for text in REFUSALS)
