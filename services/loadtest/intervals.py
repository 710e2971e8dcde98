"""How sure a figure is, when the blocks that it comes from are all there is.

Latencies within a block depend on each other (a queue, a busy moment), so it
is blocks that count as independent, not requests.
"""

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95


def quantile(blocks: list[NDArray[np.float64]], level: float) -> tuple[float, float, float]:
    """A quantile of all blocks together, and its 95 % interval: a bootstrap of whole blocks.

    Efron and Tibshirani 1993, percentile interval. The quantile is the smallest value that at
    least that fraction of all values does not exceed. Seeded: the same blocks give the same interval.
    """
    values = np.concatenate(blocks)
    order = values.argsort(kind="stable")
    block_of = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])[order]
    draws = np.random.Generator(np.random.PCG64(0)).multinomial(len(blocks), [1 / len(blocks)] * len(blocks), RESAMPLES)
    found = []
    for weights in (np.ones(len(blocks), np.int64), *draws):
        reached = weights[block_of].cumsum()
        if reached[-1]:
            found.append(values[order[np.searchsorted(reached, level * reached[-1])]])
    low, high = np.quantile(found[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(found[0]), float(low), float(high)


def shift(differences: NDArray[np.float64], confidence: float) -> tuple[float, float, float]:
    """By how much one side exceeds the other, block by block, and the interval of that.

    The Hodges-Lehmann estimate: the median of the means of all pairs of differences; and the
    interval that inverts Wilcoxon's signed-rank test (Hollander, Wolfe and Chicken 2014, 3.2-3.3).
    It asks one thing only, that differences between equals be as often so much above zero as below,
    which a balanced order gives. No distribution, and no single bad block, can make it lie.
    Infinite where there are too few blocks to say.
    """
    count = len(differences)
    means = np.sort([(differences[i] + differences[j]) / 2 for i in range(count) for j in range(i, count)])
    ways = np.zeros(len(means) + 1)  # of reaching each sum of ranks
    ways[0] = 1
    for rank in range(1, count + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    left_out = int(np.sum(ways.cumsum() / 2.0**count <= (1 - confidence) / 2))
    if not left_out:
        return float(np.median(means)), -np.inf, np.inf
    return float(np.median(means)), float(means[left_out - 1]), float(means[-left_out])
