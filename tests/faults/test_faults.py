"""The short selection of faults, one after the other on one stack. Times are measured and not asserted.

`python -m tests.faults` runs all of them, with limits of time and memory.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos, ChaosPlan, print_summary
from tests.faults.experiment import SKIPPED, Fault, Limits, run_fault
from tests.faults.report import format_line
from tests.faults.selection import select_faults
from tests.faults.target import Target

pytestmark = pytest.mark.faults

SHORT = select_faults([], is_short=True)
LIMITS = Limits(attack_s=3)
SEED = 0


class SharedTarget:
    """A stack that the tests share. One whose fault failed is replaced before the next test."""

    def __init__(self) -> None:
        self._target: Target | None = None
        self._is_damaged = False

    def acquire(self) -> Target:
        """Return a running stack."""
        if self._target is None:
            self._target = Target(Path(".tandem"))
            self._target.start()
        elif self._is_damaged:
            self._target.restart_with_empty_state()
        self._is_damaged = True  # until the test has passed
        return self._target

    def release(self) -> None:
        """Say that the stack is as it was."""
        self._is_damaged = False

    def stop(self) -> None:
        """Stop the stack."""
        if self._target:
            self._target.stop()


@pytest.fixture(scope="module")
def shared_target() -> Iterator[SharedTarget]:
    shared = SharedTarget()
    yield shared
    shared.stop()


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
def test_a_fault_is_survived(shared_target: SharedTarget, fault: Fault) -> None:
    outcome = run_fault(fault, shared_target.acquire(), SEED, LIMITS)
    print(format_line(outcome))
    if outcome.status == SKIPPED:
        shared_target.release()
        pytest.skip("; ".join(outcome.notes))
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.lost == 0
    shared_target.release()


def test_every_job_reaches_a_final_state_while_processes_are_killed(shared_target: SharedTarget) -> None:
    result = Chaos(shared_target.acquire(), ChaosPlan(jobs=40, seed=SEED)).run()
    assert print_summary(result)
    shared_target.release()
