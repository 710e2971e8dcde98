"""Wait for a condition with a deadline, outside of a test: the polling loop is that of the test suites."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.polling import wait_until

T = TypeVar("T")


class FaultFailureError(Exception):
    """Tandem did not do what it must do during or after a fault. The message says what."""


def wait(
    condition: Callable[[], T], *, message: str | Callable[[], str], timeout_s: float = 60, every_s: float = 0.05
) -> T:
    """Call `condition` until it returns something truthy, and return that; see `tests.polling.wait_until`.

    Raises:
        FaultFailureError: the deadline passed.
    """
    try:
        return wait_until(condition, message=message, timeout_s=timeout_s, every_s=every_s)
    except pytest.fail.Exception as error:
        raise FaultFailureError(str(error)) from None
