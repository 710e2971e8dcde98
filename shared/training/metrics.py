"""What an evaluation reports of one model, and of two beside each other.

NumPy in, JSON-able out. `tests/unit/test_metrics.py` holds these against
scikit-learn and SciPy, which the services do not carry.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DISAGREEMENTS = 100
RESAMPLES = 10_000
CONFIDENCE = 0.95


def summary(labels: NDArray[np.int64], probabilities: NDArray[np.float32], classes: list[str]) -> dict[str, Any]:
    """Confusion and per-class figures of one model.

    Args:
        labels: int64 [N].
        probabilities: float32 [N, classes].

    Returns:
        `confusion[true][predicted]`, counts; `per_class`, fractions. A ratio
        whose denominator is 0 is 0: a class never predicted has precision 0.
    """
    predicted = probabilities.argmax(1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    hits = confusion.diagonal()
    precision = hits / np.maximum(confusion.sum(0), 1)
    recall = hits / np.maximum(confusion.sum(1), 1)
    f1 = 2 * hits / np.maximum(confusion.sum(0) + confusion.sum(1), 1)
    figures = zip(classes, precision.tolist(), recall.tolist(), f1.tolist(), strict=True)
    return {
        "confusion": confusion.tolist(),
        "per_class": [{"class": name, "precision": p, "recall": r, "f1": f} for name, p, r, f in figures],
    }


def comparison(labels: NDArray[np.int64], probabilities: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Two models' answers to the same examples.

    Args:
        labels: int64 [N].
        probabilities: backend -> float32 [N, classes]; exactly two.

    Returns:
        `agreement` is the fraction of examples with the same predicted class;
        `mcnemar` tests whether one is right more often than the other, by the
        examples that only one got right; `accuracy_difference` is the first
        one's accuracy less the second's, with a 95 % interval;
        `disagreements` are the first 100 of them, by index.
    """
    (first, a), (second, b) = probabilities.items()
    one, other = a.argmax(1), b.argmax(1)
    differing = np.flatnonzero(one != other)
    only_first = int(np.sum((one == labels) & (other != labels)))
    only_second = int(np.sum((one != labels) & (other == labels)))
    return {
        "backends": [first, second],
        "agreement": 1 - len(differing) / len(labels),
        "mcnemar": {
            "only": {first: only_first, second: only_second},
            "p_value": mcnemar(only_first, only_second),
        },
        "accuracy_difference": accuracy_difference(only_first, only_second, len(labels)),
        "max_probability_difference": float(np.abs(a - b).max()),
        "disagreements": [
            {"index": int(i), "label": int(labels[i]), first: int(one[i]), second: int(other[i])}
            for i in differing[:MAX_DISAGREEMENTS]
        ],
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: the p-value of the examples that only one got right.

    Were both equally good, each such example would be a fair coin's toss: the
    p-value is the binomial probability of a count as uneven as this one
    (McNemar 1947; the exact form is the sign test). In whole numbers, so that
    nothing is rounded before the division.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    ways, tail = 1, 0  # ways: tosses choose k
    for k in range(fewer + 1):
        tail += ways
        ways = ways * (tosses - k) // (k + 1)
    return float(min(1, 2 * tail / 2**tosses))


def accuracy_difference(only_first: int, only_second: int, count: int) -> dict[str, float]:
    """The first one's accuracy less the second's, with a paired bootstrap interval of 95 %.

    An example adds +1, -1 or 0 to the difference, so drawing `count` examples
    with replacement is drawing how many of each there are: one multinomial
    draw a resample instead of `count` indices (Efron and Tibshirani 1993,
    percentile interval). Seeded: the same answers give the same interval.
    """
    shares = np.array([only_first, only_second, count - only_first - only_second]) / count
    drawn = np.random.Generator(np.random.PCG64(0)).multinomial(count, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": (only_first - only_second) / count, "low": float(low), "high": float(high)}
