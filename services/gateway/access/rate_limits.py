"""Rate limits in memory: they hold while Redis is down, and cost a request less than a microsecond.

Each limit is a token bucket, kept as one number (the generic cell rate algorithm): the time at which the bucket is
full again. Several processes of a gateway publish that number to each other, and each goes on from the latest one. Two
processes that count a request of the same client within the same microsecond may count only one of them.
"""

import math

from werkzeug.exceptions import TooManyRequests

from shared.web.shared_figures import SharedTimes, key_of

MAX_KEYS = 10_000
ROUNDING_S = 1e-6  # what sums of floating-point seconds may be off
PURGE_S = 1.0  # a table that is full is searched for full buckets no more often


class RateLimit:
    """A number of requests per second for each client.

    Args:
        per_second: how many a client may send on average; 0 is no limit.
        burst: how many it may send at once after a pause.
        max_keys: how many clients are remembered. When there are more, the one that came first is forgotten.
        shared: the times of all processes of the gateway, if there are several.
        name: of this limit among those that use `shared`.
    """

    def __init__(
        self,
        per_second: float,
        burst: float,
        max_keys: int = MAX_KEYS,
        shared: SharedTimes | None = None,
        name: str = "",
    ) -> None:
        self._per_second = per_second
        self._step_s = 1 / per_second if per_second else 0.0
        self._slack_s = max(burst - 1, 0) * self._step_s + ROUNDING_S
        self._max_keys = max_keys
        self._full_at_s: dict[str, float] = {}
        self._purged_s = float("-inf")
        self._shared, self._name = shared, name

    def count(self, key: str, now_s: float) -> None:
        """Count a request.

        Args:
            key: of the client.
            now_s: from a clock that never goes back, in seconds.

        Raises:
            TooManyRequests: the client sent too many; the error says when to try again.
        """
        if not self._step_s:
            return
        full_at_s = self._full_at_s.get(key)
        if full_at_s is None:
            if len(self._full_at_s) >= self._max_keys:
                self._make_room(now_s)
            full_at_s = now_s
        if self._shared is not None:
            shared_key = key_of((self._name, key))
            full_at_s = max(full_at_s, self._shared.latest_elsewhere(shared_key))
        wait_s = full_at_s - now_s
        if wait_s > self._slack_s:
            detail = f"more than {self._per_second:,g} requests per second from one client: try again later"
            raise TooManyRequests(detail, retry_after=math.ceil(wait_s - self._slack_s))
        self._full_at_s[key] = full_at_s = (full_at_s if wait_s > 0 else now_s) + self._step_s
        if self._shared is not None:
            self._shared.publish(shared_key, full_at_s)

    def _make_room(self, now_s: float) -> None:
        """Forget the clients whose buckets are full, which changes nothing; or else one client."""
        if now_s - self._purged_s >= PURGE_S:
            self._purged_s = now_s
            self._full_at_s = {key: full_at_s for key, full_at_s in self._full_at_s.items() if full_at_s > now_s}
        if len(self._full_at_s) >= self._max_keys:
            del self._full_at_s[next(iter(self._full_at_s))]
