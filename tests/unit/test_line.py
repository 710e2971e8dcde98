"""Requests that wait together share one call; who is alone goes at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from services.gateway.line import MAX_CALL, MAX_WAITING, Answer, Failure, Line, Outcome

TIMEOUT_S = 10.0


class Backend:
    """Answers each picture with its own number; holds a call back until it is told."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.threads: list[int] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.error: Exception | None = None

    def __call__(self, images: NDArray[np.uint8]) -> Outcome:
        self.calls.append(images[:, 0].tolist())
        self.threads.append(threading.get_ident())
        self.begun.release()
        assert self.go.acquire(timeout=TIMEOUT_S)
        if self.error:
            raise self.error
        return Answer(images.astype(np.float32), hop_ms=2, compute_ms=1)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def line(backend: Backend) -> Iterator[Line]:
    with ThreadPoolExecutor(8) as threads:
        yield Line("toy", backend, threads)


def pictures(*numbers: int) -> NDArray[np.uint8]:
    return np.array(numbers, np.uint8).reshape(-1, 1)


def numbers(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Answer)
    return outcome.probabilities[:, 0].astype(int).tolist()


def test_a_lone_request_goes_at_once_in_its_own_thread(line: Line, backend: Backend) -> None:
    backend.go.release()
    answer = line.ask(pictures(7), TIMEOUT_S)
    assert numbers(answer) == [7]
    assert isinstance(answer, Answer)
    assert answer.queue_ms == 0
    assert backend.threads == [threading.get_ident()]


def test_those_who_wait_share_one_call_and_each_gets_its_own(line: Line, backend: Backend) -> None:
    first = line.submit(pictures(1))
    backend.begun.acquire()
    others = [line.submit(pictures(2)), line.submit(pictures(3, 4)), line.submit(pictures(5))]
    backend.go.release(2)
    assert numbers(line.wait(first, TIMEOUT_S)) == [1]
    assert [numbers(line.wait(other, TIMEOUT_S)) for other in others] == [[2], [3, 4], [5]]
    assert backend.calls == [[1], [2, 3, 4, 5]]
    waited = line.wait(others[0], TIMEOUT_S)
    assert isinstance(waited, Answer)
    assert waited.queue_ms > 0


def test_one_who_went_alone_sends_those_who_came_meanwhile(line: Line, backend: Backend) -> None:
    with ThreadPoolExecutor(1) as alone:
        mine = alone.submit(line.ask, pictures(1), TIMEOUT_S)
        backend.begun.acquire()
        late = line.submit(pictures(2))
        backend.go.release(2)
        assert numbers(mine.result(TIMEOUT_S)) == [1]
        assert numbers(line.wait(late, TIMEOUT_S)) == [2]


def test_a_call_is_bounded_and_first_come_is_first_served(line: Line, backend: Backend) -> None:
    line.submit(pictures(0))
    backend.begun.acquire()
    many = [line.submit(pictures(*[number] * (MAX_CALL // 2))) for number in (1, 2, 3)]
    many.append(line.submit(pictures(*[4] * (MAX_CALL + 1))))
    backend.go.release(4)
    for other in many:
        line.wait(other, TIMEOUT_S)
    assert [len(call) for call in backend.calls] == [1, MAX_CALL, MAX_CALL // 2, MAX_CALL + 1]
    assert [call[0] for call in backend.calls] == [0, 1, 3, 4]


def test_a_full_line_says_so_at_once_and_serves_those_in_it(line: Line, backend: Backend) -> None:
    line.submit(pictures(0))
    backend.begun.acquire()
    inside = [line.submit(pictures(*[1] * MAX_CALL)) for _ in range(MAX_WAITING // MAX_CALL)]
    refused = line.submit(pictures(9)).result(0)
    assert isinstance(refused, Failure)
    assert str(MAX_WAITING) in refused.reason
    backend.go.release(1 + len(inside))
    assert all(numbers(line.wait(other, TIMEOUT_S)) == [1] * MAX_CALL for other in inside)


def test_who_gives_up_leaves_the_line(line: Line, backend: Backend) -> None:
    line.submit(pictures(0))
    backend.begun.acquire()
    gave_up, stays = line.submit(pictures(1)), line.submit(pictures(2))
    assert isinstance(line.wait(gave_up, 0), Failure)
    backend.go.release(2)
    assert numbers(line.wait(stays, TIMEOUT_S)) == [2]
    assert backend.calls == [[0], [2]]


def test_an_error_reaches_all_who_shared_it_and_the_line_goes_on(line: Line, backend: Backend) -> None:
    line.submit(pictures(0))
    backend.begun.acquire()
    shared = [line.submit(pictures(1)), line.submit(pictures(2))]
    backend.error = ValueError("broken")
    backend.go.release(2)
    for one in shared:
        with pytest.raises(ValueError, match="broken"):
            one.result(TIMEOUT_S)
    backend.error = None
    backend.go.release()
    assert numbers(line.ask(pictures(3), TIMEOUT_S)) == [3]
