"""Connections to Redis: how long a process waits for Redis, and as which user it logs in."""

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from shared.settings import Settings


def connect(settings: Settings, patient: bool) -> Redis:
    """Return a client of Redis. It connects when it is first used.

    Args:
        settings: Redis's address, and the user and the password of this process.
        patient: True for a trainer, which waits minutes for Redis to come back. False for the gateway, which gives up
            within two seconds, because a client waits for its answer.

    Raises:
        OSError: the file with the password cannot be read.
    """
    login = {}
    if settings.redis_password_file:
        login = {"username": settings.redis_user, "password": settings.redis_password_file.read_text().strip()}
    if patient:
        backoff = ExponentialWithJitterBackoff(base=0.1, cap=2)
        return Redis.from_url(settings.redis_url, retry=Retry(backoff, 120), socket_connect_timeout=5, **login)
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=0.1)
    return Redis.from_url(
        settings.redis_url, retry=Retry(backoff, 1), socket_timeout=1, socket_connect_timeout=1, **login
    )
