"""Wait for a condition with a deadline: the only polling loop of the test suites.

Nothing here measures: a deadline is an upper limit for a broken system, far above what a healthy one needs.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], *, message: str | Callable[[], str], timeout_s: float = 60, every_s: float = 0.05
) -> T:
    """Call `condition` until it returns something truthy, and return that.

    An exception counts as "not yet", because a server that is starting refuses connections. A failed assertion does
    not: a condition that can no longer become true asserts so, and the test fails at once.

    Args:
        condition: Called at least once, and once more after the deadline.
        message: What did not happen, or a function that returns it, called when the test fails.
        timeout_s: Seconds until the test fails.
        every_s: Seconds between two calls.

    Raises:
        pytest.fail.Exception: The deadline passed. Its text has the message and the last value or exception.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        is_last = time.monotonic() >= deadline
        try:
            value = condition()
        except AssertionError:
            raise
        except Exception as error:
            last = f"last exception: {error!r}"
        else:
            if value:
                return value
            last = f"last value: {value!r}"
        if is_last:
            text = message if isinstance(message, str) else message()
            pytest.fail(f"After {timeout_s:g} s: {text} ({last})")
        time.sleep(every_s)
