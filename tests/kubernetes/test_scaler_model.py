"""The number of trainers: no job that runs is stopped, and work is met with trainers before the next poll."""

from dataclasses import replace

import pytest

from tests.kubernetes.scaler_model import play
from tests.kubernetes.scaler_settings import DEFAULT_STABILIZATION_S, ScalerSettings, read_settings

TRACES = 10_000
FEW = 300


@pytest.fixture(scope="module")
def ours() -> ScalerSettings:
    settings = read_settings()
    assert settings == read_settings("tensorflow-trainer")
    return settings


def test_no_running_job_is_stopped_in_ten_thousand_traces(ours: ScalerSettings) -> None:
    found = play(ours, TRACES)
    assert found.jobs > TRACES
    assert found.stopped == 0
    assert found.too_few == 0
    assert found.stuck == 0
    assert found.rises >= TRACES
    assert found.late_rises == 0
    # A pod may take a job after the figure was read, and before it is told to stop. The job is returned and goes on.
    assert found.stopped_as_they_began < found.jobs / 500


def test_the_model_can_fail_the_scaler_of_redis_lists_stops_running_jobs(ours: ScalerSettings) -> None:
    found = play(replace(ours, figure="queued", lowers=True, stabilization_s=DEFAULT_STABILIZATION_S), FEW)
    assert found.stopped > FEW / 10
    assert found.too_few > FEW / 10


def test_the_model_can_fail_with_only_queued_jobs_a_dead_trainers_job_may_wait_forever(ours: ScalerSettings) -> None:
    assert play(replace(ours, figure="queued"), TRACES // 10).stuck > 0


def test_the_right_number_is_not_enough_an_autoscaler_that_lowers_it_stops_pods_that_work(ours: ScalerSettings) -> None:
    found = play(replace(ours, lowers=True, stabilization_s=DEFAULT_STABILIZATION_S), FEW)
    assert found.too_few == 0
    assert found.stopped > 0


def test_the_model_can_fail_small_steps_are_late(ours: ScalerSettings) -> None:
    assert play(replace(ours, step_up=1), FEW).late_rises > 0
