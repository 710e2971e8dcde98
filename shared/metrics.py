"""What an evaluation reports of one model, and of two beside each other.

NumPy in, JSON-able out. `tests/unit/test_metrics.py` holds these against
scikit-learn, which the services do not carry.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DISAGREEMENTS = 100


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
        `disagreements` the first 100 of the others, by index.
    """
    (first, a), (second, b) = probabilities.items()
    differing = np.flatnonzero(a.argmax(1) != b.argmax(1))
    return {
        "backends": [first, second],
        "agreement": 1 - len(differing) / len(labels),
        "max_probability_difference": float(np.abs(a - b).max()),
        "disagreements": [
            {"index": int(i), "label": int(labels[i]), first: int(a[i].argmax()), second: int(b[i].argmax())}
            for i in differing[:MAX_DISAGREEMENTS]
        ],
    }
