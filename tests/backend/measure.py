"""How far two results are apart, as a fraction of their size."""

from collections.abc import Iterable

import numpy as np

from shared.network.weights import Arrays

# The smallest size that a tensor is given, as a fraction of the largest of its group. A bias right before
# batch norm has no effect: its gradient is zero on paper, and in a computer nothing but rounding, of which
# no two programs have the same. Its own size says nothing, that of its neighbours does.
LEAST = 1e-3


def distance(found: Arrays, expected: Arrays) -> float:
    """max|found - expected| / max|expected|: the largest of a group of tensors, such as all gradients of a step."""
    assert list(found) == list(expected)
    sizes = {name: np.abs(array).max() for name, array in expected.items()}
    least = LEAST * max(sizes.values(), default=0)
    return max((_fraction(found[name], expected[name], max(size, least)) for name, size in sizes.items()), default=0.0)


def _fraction(found: np.ndarray, expected: np.ndarray, size: float) -> float:
    assert found.shape == expected.shape
    difference = float(np.abs(found - expected).max())
    # Also what is not a number, or was divided by nothing, is far apart.
    return difference / size if size > 0 and np.isfinite(difference) else (np.inf if difference else 0.0)


def distances(found: Iterable[np.ndarray], expected: Iterable[np.ndarray]) -> float:
    """The same for a group without names, such as the outputs of the layers."""
    return distance(*({str(index): array for index, array in enumerate(group)} for group in (found, expected)))
