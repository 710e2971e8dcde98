"""What several predictors of a side have used, and whether they are still the same processes."""

import pytest

from services.loadtest.predictors import Predictors, add_peak_memory, compute_cpu_seconds, have_changed
from shared.serving.health import ProcessUse

MB = 1_000_000


def process(cpu_seconds: float, pid: int = 1, machine: str = "one") -> ProcessUse:
    return ProcessUse(
        versions={}, threads=1, pid=pid, machine=machine, cpu_seconds=cpu_seconds, peak_memory_bytes=300 * MB
    )


BEFORE: Predictors = {"10.0.0.1:8101": process(5), "10.0.0.2:8101": process(7, machine="two")}
LATER: Predictors = {"10.0.0.1:8101": process(6), "10.0.0.2:8101": process(9, machine="two")}


def test_cpu_time_and_memory_of_all_predictors_are_added() -> None:
    assert not have_changed(BEFORE, LATER)
    assert compute_cpu_seconds(BEFORE, LATER) == pytest.approx(1 + 2)
    assert add_peak_memory(LATER) == 600 * MB


@pytest.mark.parametrize(
    "later",
    [
        {**LATER, "10.0.0.1:8101": process(6, pid=2)},
        {**LATER, "10.0.0.1:8101": process(6, machine="three")},
        {**LATER, "10.0.0.1:8101": process(4)},
        {**LATER, "10.0.0.3:8101": process(1)},
        {"10.0.0.1:8101": process(6)},
    ],
    ids=["restarted", "moved", "restarted in its container", "added", "removed"],
)
def test_cpu_time_is_unknown_if_predictors_changed(later: Predictors) -> None:
    assert have_changed(BEFORE, later)
    assert compute_cpu_seconds(BEFORE, later) is None


@pytest.mark.parametrize("later", [{**LATER, "10.0.0.1:8101": None}, {}], ids=["a busy predictor", "a busy gateway"])
def test_without_an_answer_cpu_time_is_unknown_and_nothing_has_changed(later: Predictors) -> None:
    for old, new in ((BEFORE, later), (later, LATER)):
        assert not have_changed(old, new)
        assert compute_cpu_seconds(old, new) is None


def test_a_predictor_that_is_down_all_the_time_leaves_the_figures_of_the_others() -> None:
    down = {"10.0.0.3:8101": None}
    assert compute_cpu_seconds({**BEFORE, **down}, {**LATER, **down}) == pytest.approx(3)
    assert compute_cpu_seconds(down, down) is None
    assert add_peak_memory(down) is None
