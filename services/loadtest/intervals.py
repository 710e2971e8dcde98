"""Estimates with confidence intervals, computed from blocks.

Latencies within a block depend on each other, because requests share a queue and the machine's busy moments.
Therefore blocks are treated as independent, and requests are not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_RESAMPLES = 2000
BOOTSTRAP_CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A value and the ends of its confidence interval; the ends are infinite if there are too few blocks."""

    value: float
    low: float
    high: float


def estimate_quantile(blocks: list[NDArray[np.float64]], level: float) -> Estimate:
    """Return a quantile of all blocks' values together, with its 95 % interval.

    The interval is the percentile interval of a bootstrap that resamples whole blocks (Efron and Tibshirani 1993,
    "An Introduction to the Bootstrap", chapter 13). The quantile is the smallest value v such that at least the
    fraction `level` of all values is at most v. The seed is fixed: the same blocks give the same interval.

    Args:
        blocks: for each block a float64 array of values; at least one value in all.
        level: a fraction, such as 0.99.
    """
    values = np.concatenate(blocks)
    order = values.argsort(kind="stable")
    block_of_value = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])[order]
    generator = np.random.Generator(np.random.PCG64(0))
    # How often each resample contains each block.
    resamples = generator.multinomial(len(blocks), [1 / len(blocks)] * len(blocks), BOOTSTRAP_RESAMPLES)
    quantiles = []
    for weights in (np.ones(len(blocks), np.int64), *resamples):
        cumulated = weights[block_of_value].cumsum()
        if cumulated[-1]:
            quantiles.append(values[order[np.searchsorted(cumulated, level * cumulated[-1])]])
    low, high = np.quantile(quantiles[1:], [(1 - BOOTSTRAP_CONFIDENCE) / 2, (1 + BOOTSTRAP_CONFIDENCE) / 2])
    return Estimate(float(quantiles[0]), float(low), float(high))


def estimate_shift(differences: NDArray[np.float64], confidence: float) -> Estimate:
    """Return by how much one side exceeds the other, with a confidence interval.

    The value is the Hodges-Lehmann estimate: the median of the means of all pairs of differences. The interval
    consists of the shifts that Wilcoxon's signed-rank test does not reject (Hollander, Wolfe and Chicken 2014,
    "Nonparametric Statistical Methods", sections 3.2 and 3.3). The only assumption is that differences between equal
    sides are symmetric about zero, which the balanced order of the blocks ensures. A single extreme block has little
    influence.

    Args:
        differences: float64 [blocks], the second side's figure minus the first side's.
        confidence: of the interval, such as 0.99.
    """
    count = len(differences)
    means = np.sort([(differences[i] + differences[j]) / 2 for i in range(count) for j in range(i, count)])
    # How many of the 2^count sign patterns give each sum of the positive ranks.
    patterns = np.zeros(len(means) + 1)
    patterns[0] = 1
    for rank in range(1, count + 1):
        patterns[rank:] = patterns[rank:] + patterns[:-rank]
    excluded = int(np.sum(patterns.cumsum() / 2.0**count <= (1 - confidence) / 2))
    if not excluded:
        return Estimate(float(np.median(means)), -np.inf, np.inf)
    return Estimate(float(np.median(means)), float(means[excluded - 1]), float(means[-excluded]))
