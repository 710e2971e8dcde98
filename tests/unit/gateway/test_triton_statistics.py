"""Counters that any thread may add to, in the shape of Triton's statistics."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from services.gateway.prediction.triton_statistics import Statistics


def one_prediction(statistics: Statistics, images: int) -> None:
    with statistics.measure("m", 1) as timed:
        timed.done("compute_input")
        timed.asked(images, 0.0)


def test_what_was_never_asked_has_zeros() -> None:
    found = Statistics().read("m", 3)
    assert (found["name"], found["version"]) == ("m", "3")
    assert found["last_inference"] == found["inference_count"] == found["execution_count"] == 0
    assert all(duration == {"count": 0, "ns": 0} for duration in found["inference_stats"].values())


def test_threads_lose_no_count() -> None:
    statistics = Statistics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: one_prediction(statistics, 3), range(800)))
    found = statistics.read("m", 1)
    assert found["inference_count"] == 2400
    assert found["execution_count"] == 800
    assert {part: duration["count"] for part, duration in found["inference_stats"].items()} == {
        "success": 800,
        "fail": 0,
        "queue": 800,
        "compute_input": 800,
        "compute_infer": 800,
        "compute_output": 800,
    }
    assert found["last_inference"] > 0


def test_the_parts_of_a_success_are_not_longer_than_the_whole() -> None:
    statistics = Statistics()
    with statistics.measure("m", 1) as timed:
        timed.done("compute_input")
        timed.asked(1, 1e9)  # a backend that says more than went by
    stats = statistics.read("m", 1)["inference_stats"]
    parts = sum(stats[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert 0 < parts <= stats["success"]["ns"]


def test_what_raises_is_a_failure_of_its_own_model_and_goes_on_raising() -> None:
    statistics = Statistics()
    with pytest.raises(KeyError), statistics.measure("m", 1):
        raise KeyError
    found = statistics.read("m", 1)
    assert found["inference_stats"]["fail"]["count"] == 1
    assert found["inference_stats"]["fail"]["ns"] > 0
    assert found["inference_stats"]["success"]["count"] == found["execution_count"] == 0
    assert statistics.read("m", 2)["inference_stats"]["fail"]["count"] == 0
