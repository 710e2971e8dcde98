"""Compare what two backends predicted for the same examples."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConflictError
from shared.jobs.run_state import Run
from shared.network.description import Network
from shared.network.weights import Weights
from shared.training import metrics
from shared.training.context import JobContext

ANSWERS_TTL_S = 3600


def compare(
    context: JobContext,
    run: Run,
    asked: list[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    network: Network,
    weights: Callable[[str], Weights | None],
) -> None:
    """Compare with every backend that has answered already; the last to answer completes the pairs.

    Two that end at the same moment both write the same comparison.

    Args:
        weights: a backend's weights, where their difference says something; else None.

    Raises:
        ConflictError: the other backend answered for other examples: the dataset has changed meanwhile.
    """
    mine = run.backend
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, labels=labels, probabilities=probabilities)
    context.redis.set(f"{run.key}:answers", buffer.getvalue(), ex=ANSWERS_TTL_S)
    for other in asked:
        stored = context.redis.get(f"{run.work}:{other}:answers")
        if other == mine or not isinstance(stored, bytes):
            continue
        theirs = np.load(io.BytesIO(stored), allow_pickle=False)
        if not np.array_equal(theirs["labels"], labels):
            raise ConflictError(f"{other} and {mine} read different data: the dataset has changed in between")
        both = {mine: probabilities, other: theirs["probabilities"]}
        pair = sorted(both, key=asked.index)
        comparison = metrics.comparison(labels, {backend: both[backend] for backend in pair})
        one, two = weights(pair[0]), weights(pair[1])
        if one and two:
            comparison["max_weight_difference"] = max(float(np.abs(one[name] - two[name]).max()) for name in one)
        run.report_comparison(pair, {**comparison, "notes": notes(network)})


def notes(network: Network) -> list[str]:
    """What keeps two backends apart by more than rounding, though they were given the same."""
    if network.is_random:
        return ["dropout draws masks that are each framework's own: the models differ by more than rounding"]
    return []
