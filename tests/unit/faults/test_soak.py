"""The growth that the soak reports."""

import pytest

from benchmarks.soak import fit_growth


def test_a_steady_growth_is_reported_from_the_end_of_the_warm_up() -> None:
    samples = [(float(second), {"gateway": 100 + second}) for second in range(0, 101, 5)]
    growth = fit_growth(samples, "gateway")
    assert (growth.first, growth.last) == pytest.approx((125, 200))
    assert growth.percent == pytest.approx(60)


def test_a_single_peak_and_the_warm_up_do_not_count_as_growth() -> None:
    samples = [(float(second), {"gateway": 100.0}) for second in range(0, 101, 5)]
    samples[0] = (0.0, {"gateway": 10.0})
    samples[-1] = (100.0, {"gateway": 1000.0})
    assert fit_growth(samples, "gateway").percent == pytest.approx(0)
