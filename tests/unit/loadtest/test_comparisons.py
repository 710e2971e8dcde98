"""The claims about pairs of sides."""

import numpy as np
import pytest

from services.loadtest.comparisons import compare_sides


def test_a_clear_difference_is_stated_in_one_sentence() -> None:
    figures = {"tensorflow": np.full(20, 7.5), "pytorch": np.full(20, 5.0)}
    [pair] = compare_sides(list(figures), figures, "p99_ms", 60)
    assert pair.claim == "pytorch's p99 at 60/s is 2.50 ms lower than tensorflow's"
    assert pair.backends == ["tensorflow", "pytorch"]
    assert pair.blocks == 20
    assert pair.confidence == pytest.approx(0.99)


def test_a_rate_has_its_own_unit() -> None:
    figures = {"tensorflow": np.full(20, 100.0), "pytorch": np.full(20, 110.0)}
    [pair] = compare_sides(list(figures), figures, "achieved_qps")
    assert pair.claim == "pytorch's rate is 10.00/s higher than tensorflow's"


def test_without_a_common_rate_there_is_no_claim() -> None:
    [pair] = compare_sides(["tensorflow", "pytorch"], {}, "p99_ms")
    assert pair.claim.startswith("no claim: ")
    assert pair.difference is None


def test_eight_passes_are_too_few_for_an_interval_of_three_pairs() -> None:
    figures = {"a": np.full(8, 100.0), "b": np.full(8, 110.0), "c": np.full(8, 90.0)}
    pairs = compare_sides(list(figures), figures, "largest_qps")
    assert [pair.difference.value for pair in pairs if pair.difference] == [10, -10, -20]
    assert all(pair.difference and pair.difference.low is None for pair in pairs)
    assert all(pair.claim == "no difference shown" for pair in pairs)


def test_one_side_alone_has_no_pair() -> None:
    assert compare_sides(["pytorch"], {"pytorch": np.ones(8)}, "largest_qps") == []
