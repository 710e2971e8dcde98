"""The helper that waits in all other tests."""

import pytest

from tests.polling import wait_until


def test_the_first_truthy_value_is_returned() -> None:
    values = iter([0, None, 7, 8])
    assert wait_until(lambda: next(values), message="no number came", every_s=0) == 7


def test_an_exception_means_not_yet() -> None:
    answers = iter([ZeroDivisionError, ConnectionError, None])

    def condition() -> bool:
        if error := next(answers):
            raise error
        return True

    assert wait_until(condition, message="it never worked", every_s=0)


def test_the_deadline_reports_the_message_and_the_last_value() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"the list stays empty \(last value: \[\]\)"):
        wait_until(list, message="the list stays empty", timeout_s=0, every_s=0)


def test_the_deadline_reports_the_last_exception() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"no answer \(last exception: ZeroDivisionError"):
        wait_until(lambda: 1 / 0, message="no answer", timeout_s=0, every_s=0)


def test_the_message_may_be_a_function_that_is_called_only_on_failure() -> None:
    assert wait_until(lambda: True, message=lambda: pytest.fail("called without need"))
    with pytest.raises(pytest.fail.Exception, match="the whole log"):
        wait_until(lambda: False, message=lambda: "the whole log", timeout_s=0)


def test_a_failed_assertion_in_the_condition_ends_the_wait() -> None:
    def condition() -> bool:
        raise AssertionError("the process has ended")

    with pytest.raises(AssertionError, match="the process has ended"):
        wait_until(condition, message="never reached")
