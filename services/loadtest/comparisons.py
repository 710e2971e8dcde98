"""Compares every two sides of a load test and states the result as a claim."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from services.loadtest.intervals import Estimate, estimate_shift
from shared.jobs.loadtests import Interval, LoadComparison, Metric

CLAIM_CONFIDENCE = 0.99  # of all claims of a load test together
METRIC_NAMES: dict[Metric, str] = {"p99_ms": "p99", "achieved_qps": "rate", "largest_qps": "largest rate"}
METRIC_UNITS: dict[Metric, str] = {"p99_ms": " ms", "achieved_qps": "/s", "largest_qps": "/s"}


def compare_sides(
    sides: list[str],
    figures: dict[str, NDArray[np.float64]],
    metric: Metric,
    target_qps: float | None = None,
) -> list[LoadComparison]:
    """Return one comparison per pair of sides: the second side's figure minus the first's, block by block.

    The confidence of each interval follows from CLAIM_CONFIDENCE by Bonferroni's correction.

    Args:
        sides: names of the sides.
        figures: for each side the figure of each block, float64 [blocks], in the same order; empty if no rate can be
            compared.
        metric: what the figures are.
        target_qps: the rate at which they were measured; None if there is none.
    """
    pairs = list(combinations(sides, 2))
    confidence = 1 - (1 - CLAIM_CONFIDENCE) / max(1, len(pairs))
    return [_compare_pair(pair, figures, confidence, metric, target_qps) for pair in pairs]


def _compare_pair(
    pair: tuple[str, str],
    figures: dict[str, NDArray[np.float64]],
    confidence: float,
    metric: Metric,
    target_qps: float | None,
) -> LoadComparison:
    blocks, difference = 0, None
    claim = "no claim: at each rate, a result of some backend is invalid or has errors"
    if figures:
        differences = figures[pair[1]] - figures[pair[0]]
        estimate = estimate_shift(differences, confidence)
        blocks, difference = len(differences), to_interval(estimate)
        claim = _state_claim(pair, estimate, metric, target_qps)
    return LoadComparison(
        backends=list(pair),
        metric=metric,
        target_qps=target_qps,
        confidence=confidence,
        blocks=blocks,
        difference=difference,
        claim=claim,
    )


def to_interval(estimate: Estimate) -> Interval:
    """Return the estimate as JSON can express it: infinite ends become None.

    A search has eight passes. With three pairs or more, these are too few for the confidence that each pair needs.
    """
    if not np.isfinite(estimate.low):
        return Interval(value=estimate.value, low=None, high=None)
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)


def _state_claim(pair: tuple[str, str], estimate: Estimate, metric: Metric, target_qps: float | None) -> str:
    if estimate.low <= 0 <= estimate.high:
        return "no difference shown"
    at_rate = f" at {target_qps:g}/s" if target_qps else ""
    size = f"{abs(estimate.value):.2f}{METRIC_UNITS[metric]}"
    direction = "higher" if estimate.value > 0 else "lower"
    return f"{pair[1]}'s {METRIC_NAMES[metric]}{at_rate} is {size} {direction} than {pair[0]}'s"
