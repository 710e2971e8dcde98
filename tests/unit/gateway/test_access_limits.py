"""Rate limits: how much a client may send, and how many clients are remembered."""

import pytest
from werkzeug.exceptions import TooManyRequests

from services.gateway.access.rate_limits import RateLimit
from shared.web.process_slots import ProcessSlots
from shared.web.shared_figures import SharedTimes


def count_accepted(limit: RateLimit, key: str, requests: int, now_s: float) -> int:
    """Return how many of some simultaneous requests are accepted."""
    accepted = 0
    for _ in range(requests):
        try:
            limit.count(key, now_s)
            accepted += 1
        except TooManyRequests:
            pass
    return accepted


def test_a_client_may_send_a_burst_and_then_its_rate() -> None:
    limit = RateLimit(10, 20)
    assert count_accepted(limit, "a", 30, 1000.0) == 20
    assert count_accepted(limit, "a", 30, 1000.5) == 5
    assert count_accepted(limit, "a", 30, 1100.0) == 20


def test_each_client_has_its_own_limit() -> None:
    limit = RateLimit(1, 2)
    assert count_accepted(limit, "a", 5, 0.0) == 2
    assert count_accepted(limit, "b", 5, 0.0) == 2


def test_a_refused_request_does_not_count_and_says_when_to_come_back() -> None:
    limit = RateLimit(0.5, 1)
    limit.count("a", 0.0)
    for _ in range(100):
        with pytest.raises(TooManyRequests, match=r"more than 0\.5 requests per second") as refused:
            limit.count("a", 0.1)
        assert refused.value.retry_after == 2
    limit.count("a", 2.0)


def test_zero_is_no_limit() -> None:
    assert count_accepted(RateLimit(0, 0), "a", 1000, 0.0) == 1000


def test_the_table_of_clients_is_bounded() -> None:
    limit = RateLimit(1, 1, max_keys=3)
    for number in range(10):
        limit.count(f"client {number}", 0.0)
    assert len(limit._full_at_s) == 3
    assert count_accepted(limit, "client 9", 1, 0.0) == 0, "the newest clients are remembered"
    limit.count("later", 5.0)
    assert list(limit._full_at_s) == ["later"], "clients that sent nothing for a while are forgotten first"


def test_two_processes_let_a_client_in_as_often_as_one() -> None:
    slots = ProcessSlots(2)
    times = SharedTimes(slots)
    limits = [RateLimit(10, 20, shared=times, name="x"), RateLimit(10, 20, shared=times, name="x")]
    other = RateLimit(10, 20, shared=times, name="y")
    for slot in (0, 1):
        slots.occupy(slot, 1)

    def count_let_in(requests: int, now_s: float) -> int:
        """Send requests to both processes in turn, and return how many are let in."""
        count = 0
        for number in range(requests):
            slots.enter(number % 2)
            count += count_accepted(limits[number % 2], "a", 1, now_s)
        return count

    assert count_let_in(100, 1000.0) == 20
    assert count_let_in(100, 1001.0) == 10
    slots.enter(0)
    assert count_accepted(other, "a", 100, 1001.0) == 20
    assert count_accepted(limits[0], "b", 100, 1001.0) == 20
