"""Intervals over blocks, compared with SciPy, with enumeration, and with their promised error rate."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import wilcoxon

from services.loadtest.intervals import estimate_quantile, estimate_shift

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("count", [8, 9, 10, 12])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_the_interval_contains_exactly_the_shifts_that_the_signed_rank_test_does_not_reject(
    count: int, confidence: float
) -> None:
    differences = RANDOM.normal(0.3, 1, count)
    value, low, high = estimate_shift(differences, confidence)
    assert low <= value <= high
    for end, outwards in ((low, -1), (high, 1)):
        inside, outside = (
            wilcoxon(differences - (end + step * outwards * 1e-9), method="exact").pvalue for step in (-1, 1)
        )
        assert outside <= 1 - confidence < inside


def test_equal_sides_differ_no_more_often_than_the_confidence_allows() -> None:
    """If the sides are equal, all sign patterns of ten differences have the same probability."""
    sizes = RANDOM.standard_cauchy(10)
    wrong = 0
    for signs in product((-1, 1), repeat=10):
        _, low, high = estimate_shift(sizes * signs, 0.99)
        wrong += low > 0 or high < 0
    assert 0 < wrong <= 0.01 * 2**10


def test_too_few_blocks_give_an_infinite_interval() -> None:
    assert estimate_shift(np.full(7, 5.0), 0.99)[1:] == (-np.inf, np.inf)
    assert estimate_shift(np.full(8, 5.0), 0.99) == (5.0, 5.0, 5.0)


def test_one_extreme_block_does_not_make_a_difference() -> None:
    value, low, high = estimate_shift(np.array([0.1, -0.2, 0.05, -0.1, 0.2, -0.05, 0.15, -0.15, 0.0, 1e6]), 0.99)
    assert low < 0 < high
    assert abs(value) < 1


def test_a_quantile_is_that_of_all_blocks_together() -> None:
    blocks = [RANDOM.exponential(5, 300) for _ in range(10)]
    value, low, high = estimate_quantile(blocks, 0.99)
    assert value == np.quantile(np.concatenate(blocks), 0.99, method="inverted_cdf")
    assert low <= value <= high


def test_the_interval_of_a_quantile_is_wider_if_the_blocks_differ() -> None:
    blocks = [RANDOM.exponential(5, 300) for _ in range(10)]
    _, low, high = estimate_quantile(blocks, 0.5)
    unlike = [block + 20 * (number % 2) for number, block in enumerate(blocks)]
    _, unlike_low, unlike_high = estimate_quantile(unlike, 0.5)
    assert unlike_high - unlike_low > 5 * (high - low)
