"""The arrival times are a Poisson process. `test_generator.py` compares them with LoadGen's own."""

import numpy as np
import pytest

from services.loadtest.arrivals import draw_arrivals


def test_gaps_between_arrivals_have_the_mean_and_deviation_of_an_exponential_distribution() -> None:
    gaps = np.diff(draw_arrivals(seed=1, qps=50, count=20_001))
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)


def test_each_seed_has_its_own_arrivals() -> None:
    assert np.array_equal(draw_arrivals(1, 50, 10), draw_arrivals(1, 50, 10))
    assert not np.array_equal(draw_arrivals(1, 50, 10), draw_arrivals(2, 50, 10))
