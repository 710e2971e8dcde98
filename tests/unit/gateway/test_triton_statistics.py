"""Counters of predictions that other protocols requested."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from services.gateway.prediction import triton_statistics
from services.gateway.prediction.triton_statistics import NUMBERS, PARTS, Counters, TritonStatistics
from shared.web.process_slots import ProcessSlots
from shared.web.shared_figures import SharedRecords


def record_prediction(statistics: TritonStatistics, images: int) -> None:
    with statistics.measure("m", 1) as timed:
        timed.mark("compute_input")
        timed.mark_answered(images, 0.0)


def test_a_version_that_was_never_requested_has_zeros() -> None:
    assert TritonStatistics().read("m", 3) == Counters(0, 0, 0, dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0))


def test_threads_lose_no_count() -> None:
    statistics = TritonStatistics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: record_prediction(statistics, 3), range(800)))
    counters = statistics.read("m", 1)
    assert counters.images == 2400
    assert counters.requests == 800
    assert counters.counts == {part: 0 if part == "fail" else 800 for part in PARTS}
    assert counters.last_ms > 0


def test_the_parts_of_a_success_are_not_longer_than_the_whole() -> None:
    statistics = TritonStatistics()
    with statistics.measure("m", 1) as timed:
        timed.mark("compute_input")
        timed.mark_answered(1, 1e9)  # a backend that reports more time than has passed
    ns = statistics.read("m", 1).ns
    assert 0 < sum(ns[part] for part in ("queue", "compute_input", "compute_infer", "compute_output")) <= ns["success"]


def test_an_error_counts_as_a_failure_and_is_raised_on() -> None:
    statistics = TritonStatistics()
    with pytest.raises(KeyError), statistics.measure("m", 1):
        raise KeyError
    counters = statistics.read("m", 1)
    assert counters.counts["fail"] == 1
    assert counters.ns["fail"] > 0
    assert counters.counts["success"] == counters.requests == 0
    assert statistics.read("m", 2).counts["fail"] == 0


def test_what_is_read_does_not_change_later() -> None:
    statistics = TritonStatistics()
    record_prediction(statistics, 1)
    before = statistics.read("m", 1)
    record_prediction(statistics, 1)
    assert before.requests == before.counts["success"] == 1


def test_the_models_that_were_not_requested_for_the_longest_time_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_statistics, "MAX_COUNTED_MODELS", 2)
    statistics = TritonStatistics()
    for version in (1, 2, 1, 3):
        with statistics.measure("m", version) as timed:
            timed.mark_answered(1, 0.0)
    assert [statistics.read("m", version).requests for version in (1, 2, 3)] == [2, 0, 1]


def test_processes_answer_with_the_sum_of_their_counters_also_of_one_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triton_statistics, "MAX_COUNTED_MODELS", 2)
    slots = ProcessSlots(1)
    shared = SharedRecords(slots, 2, NUMBERS)

    def restart(slot: int) -> TritonStatistics:
        slots.enter(slot)
        return TritonStatistics(shared)

    first = restart(0)
    record_prediction(first, 3)
    second = restart(1)
    for version in (1, 2, 3, 2):
        with second.measure("m", version) as timed:
            timed.mark_answered(1, 0.0)
    assert [second.read("m", version).images for version in (1, 2, 3)] == [3, 2, 1]  # its own count of 1 was dropped
    again = restart(1)
    record_prediction(again, 1)
    assert again.read("m", 1).images == 4
    assert 0 in {again.read("m", version).images for version in (2, 3)}  # both were requested in the same millisecond
    assert again.read("m", 1).counts["success"] == again.read("m", 1).requests == 2
