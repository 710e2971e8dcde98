"""The figures of an evaluation: of one model, and of two models compared.

The tests compare these functions with scikit-learn and SciPy, which the services do not install.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.jobs.results import AccuracyDifference, ClassFigures, Comparison, McNemar

MAX_DISAGREEMENTS = 100
RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassReport:
    """How a model does on each class.

    Attributes:
        confusion: `confusion[true][predicted]`, counts of examples.
        per_class: precision, recall and F1 of each class.
    """

    confusion: list[list[int]]
    per_class: list[ClassFigures]


def class_report(labels: NDArray[np.int64], probabilities: NDArray[np.float32], classes: Sequence[str]) -> ClassReport:
    """Return a model's confusion matrix and per-class figures.

    A figure that cannot be computed is None. A class that was never predicted has no precision. A class without
    examples has neither recall nor F1. F1 is `2 * hits / (predicted + examples)`, so a class with examples that was
    never predicted has F1 = 0.

    Args:
        labels: int64 [N].
        probabilities: float32 [N, classes].
        classes: the names of the classes.
    """
    predicted = probabilities.argmax(1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    counts = zip(classes, confusion.diagonal(), confusion.sum(0), confusion.sum(1), strict=True)
    return ClassReport(
        confusion=confusion.tolist(),
        per_class=[_class_figures(name, int(h), int(p), int(e)) for name, h, p, e in counts],
    )


def _class_figures(name: str, hits: int, predicted: int, examples: int) -> ClassFigures:
    """Return the figures of one class.

    Args:
        name: of the class.
        hits: how many of its examples were predicted as this class.
        predicted: how many examples of any class were predicted as this class.
        examples: how many examples it has.
    """
    return ClassFigures(
        name=name,
        precision=hits / predicted if predicted else None,
        recall=hits / examples if examples else None,
        f1=2 * hits / (predicted + examples) if examples else None,
    )


def compare_predictions(labels: NDArray[np.int64], probabilities: dict[str, NDArray[np.float32]]) -> Comparison:
    """Compare two models' predictions for the same examples.

    Args:
        labels: int64 [N].
        probabilities: backend -> float32 [N, classes]; exactly two backends.

    Returns:
        The comparison, without its notes. It lists the first 100 disagreements, by index.
    """
    (first, a), (second, b) = probabilities.items()
    one, other = a.argmax(1), b.argmax(1)
    differing = np.flatnonzero(one != other)
    only_first = int(np.sum((one == labels) & (other != labels)))
    only_second = int(np.sum((one != labels) & (other == labels)))
    return Comparison(
        backends=[first, second],
        agreement=1 - len(differing) / len(labels),
        mcnemar=McNemar(
            only={first: only_first, second: only_second},
            p_value=mcnemar_p_value(only_first, only_second),
        ),
        accuracy_difference=accuracy_difference(only_first, only_second, len(labels)),
        max_probability_difference=float(np.abs(a - b).max()),
        disagreements=[
            {"index": int(i), "label": int(labels[i]), first: int(one[i]), second: int(other[i])}
            for i in differing[:MAX_DISAGREEMENTS]
        ],
    )


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test (McNemar 1947; the exact form is the sign test).

    The test uses the examples that only one of the models classified correctly. If both models were equally good, each
    such example would be the toss of a fair coin. The p-value is the binomial probability of counts at least as uneven
    as these. It is computed with integers, so that nothing is rounded before the division.

    Args:
        only_first: the number of examples that only the first model classified correctly.
        only_second: the same for the second model.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    ways, tail = 1, 0  # ways: tosses choose k
    for k in range(fewer + 1):
        tail += ways
        ways = ways * (tosses - k) // (k + 1)
    return float(min(1, 2 * tail / 2**tosses))


def accuracy_difference(only_first: int, only_second: int, count: int) -> AccuracyDifference:
    """Return the first model's accuracy minus the second's, with a 95 % interval from a paired bootstrap.

    The interval is the percentile interval of Efron and Tibshirani 1993. Each example adds +1, -1 or 0 to the
    difference. To draw `count` examples with replacement is therefore to draw how many of each value there are: one
    multinomial draw per resample instead of `count` indices. The seed is fixed, so equal counts give equal intervals.

    Args:
        only_first: the number of examples that only the first model classified correctly.
        only_second: the same for the second model.
        count: the number of all examples.
    """
    shares = np.array([only_first, only_second, count - only_first - only_second]) / count
    drawn = np.random.Generator(np.random.PCG64(0)).multinomial(count, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return AccuracyDifference(value=(only_first - only_second) / count, low=float(low), high=float(high))
