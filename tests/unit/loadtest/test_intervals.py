"""Intervals over blocks: held against enumeration, and against what they promise."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import wilcoxon

from services.loadtest.intervals import quantile, shift

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("count", [8, 9, 10, 12])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_a_shift_is_in_the_interval_exactly_when_the_signed_rank_test_does_not_reject_it(
    count: int, confidence: float
) -> None:
    differences = RANDOM.normal(0.3, 1, count)
    value, low, high = shift(differences, confidence)
    assert low <= value <= high
    for end, outwards in ((low, -1), (high, 1)):
        inside, outside = (
            wilcoxon(differences - (end + step * outwards * 1e-9), method="exact").pvalue for step in (-1, 1)
        )
        assert outside <= 1 - confidence < inside


def test_equals_are_told_apart_no_more_often_than_promised() -> None:
    """All sign patterns of ten differences are as likely as each other when there is no difference."""
    sizes = RANDOM.standard_cauchy(10)
    wrong = 0
    for signs in product((-1, 1), repeat=10):
        _, low, high = shift(sizes * signs, 0.99)
        wrong += low > 0 or high < 0
    assert 0 < wrong <= 0.01 * 2**10


def test_too_few_blocks_say_nothing() -> None:
    assert shift(np.full(7, 5.0), 0.99)[1:] == (-np.inf, np.inf)
    assert shift(np.full(8, 5.0), 0.99) == (5.0, 5.0, 5.0)


def test_one_bad_block_cannot_make_a_shift() -> None:
    value, low, high = shift(np.array([0.1, -0.2, 0.05, -0.1, 0.2, -0.05, 0.15, -0.15, 0.0, 1e6]), 0.99)
    assert low < 0 < high
    assert abs(value) < 1


def test_a_quantile_is_that_of_all_blocks_and_its_interval_knows_how_blocks_differ() -> None:
    blocks = [RANDOM.exponential(5, 300) for _ in range(10)]
    value, low, high = quantile(blocks, 0.99)
    assert value == np.quantile(np.concatenate(blocks), 0.99, method="inverted_cdf")
    assert low <= value <= high
    unlike = [block + 20 * (number % 2) for number, block in enumerate(blocks)]
    _, unlike_low, unlike_high = quantile(unlike, 0.5)
    assert unlike_high - unlike_low > 5 * np.diff(quantile(blocks, 0.5)[1:])[0]
