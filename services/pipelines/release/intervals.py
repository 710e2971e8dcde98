"""The statistics of the gates: how sure a difference of two accuracies is."""

import math
from statistics import NormalDist

import numpy as np

RESAMPLES = 20_000


def lower_bound_of_loss(only_old: int, only_new: int, count: int, confidence: float) -> float:
    """Return how much accuracy the new model has lost at least.

    The one-sided bound comes from a paired bootstrap (Efron and Tibshirani 1993). Each picture adds +1, -1 or 0 to the
    loss, so a resample is one multinomial draw. The seed is fixed: equal counts give equal bounds.

    Args:
        only_old: pictures that only the old model classifies correctly.
        only_new: pictures that only the new model classifies correctly.
        count: all pictures.
        confidence: of the bound, for example 0.95.
    """
    shares = np.array([only_old, only_new, count - only_old - only_new]) / count
    drawn = np.random.Generator(np.random.PCG64(0)).multinomial(count, shares, RESAMPLES)
    return float(np.quantile((drawn[:, 0] - drawn[:, 1]) / count, 1 - confidence))


def detectable_loss(only_old: int, only_new: int, count: int, margin: float, confidence: float) -> float:
    """Return the loss of accuracy that the gate would notice on these pictures, four times out of five.

    Args:
        only_old: as in `lower_bound_of_loss`.
        only_new: the same.
        count: all pictures.
        margin: the loss that is allowed.
        confidence: of the gate.
    """
    error = math.sqrt(max(1, only_old + only_new)) / count
    return margin + (NormalDist().inv_cdf(confidence) + NormalDist().inv_cdf(0.8)) * error


def is_share_below(hits: int, count: int, share: float, share_count: int, confidence: float) -> bool:
    """Return whether hits are significantly fewer than a share, which is itself an estimate (a test of two shares).

    Args:
        hits: how many of `count`.
        count: the number of trials.
        share: what is expected, from 0 to 1.
        share_count: from how many trials the share was estimated.
        confidence: of the test.
    """
    if count == 0:
        return False
    spread = math.sqrt(max(share * (1 - share), 1 / count / 4) * (1 / count + 1 / max(1, share_count)))
    return hits / count < share - NormalDist().inv_cdf(confidence) * spread


def highest_plausible_share(hits: int, count: int, confidence: float) -> float:
    """Return the upper end of Wilson's one-sided interval of a share (Wilson 1927).

    A larger true share would have given so few hits only with a probability below 1 - confidence.

    Args:
        hits: how many of `count`.
        count: the number of trials, at least 1.
        confidence: of the bound, for example 0.975.
    """
    z, share = NormalDist().inv_cdf(confidence), hits / count
    center = share + z**2 / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (center + spread) / (1 + z**2 / count)
