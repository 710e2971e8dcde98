"""The largest difference between two results, relative to their size."""

from collections.abc import Iterable

import numpy as np

from shared.network.weights import Arrays

# The smallest size by which a tensor's difference is divided, as a fraction of the largest tensor of its group. The
# gradient of a bias directly before batch norm should be 0, but is rounding noise, which differs between programs. Its
# difference is therefore compared with the size of the other tensors.
LEAST = 1e-3


def distance(found: Arrays, expected: Arrays) -> float:
    """Return the largest max|found - expected| / max|expected| of a group, such as all gradients of a step."""
    assert list(found) == list(expected)
    sizes = {name: np.abs(array).max() for name, array in expected.items()}
    least = LEAST * max(sizes.values(), default=0)
    return max((_fraction(found[name], expected[name], max(size, least)) for name, size in sizes.items()), default=0.0)


def _fraction(found: np.ndarray, expected: np.ndarray, size: float) -> float:
    assert found.shape == expected.shape
    difference = float(np.abs(found - expected).max())
    # A difference that is not finite, or a difference from zero, counts as infinite.
    return difference / size if size > 0 and np.isfinite(difference) else (np.inf if difference else 0.0)


def distances(found: Iterable[np.ndarray], expected: Iterable[np.ndarray]) -> float:
    """Return the same for a group without names, such as the outputs of the layers."""
    return distance(*({str(index): array for index, array in enumerate(group)} for group in (found, expected)))
