"""Compare the predictions of two backends for the same examples."""

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

ANSWERS_TTL_S = 3600  # how long a backend's predictions are kept for the comparison with slower backends


def compare(
    context: JobContext,
    run: Run,
    asked: list[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    network: Network,
    weights: Callable[[str], Weights | None],
) -> None:
    """Store this run's predictions, and compare them with those of every backend that has stored its own already.

    The backend that finishes last therefore completes the pairs. Two backends that finish at the same moment both
    write the same comparison.

    Args:
        context: the trainer's context.
        run: this backend's run.
        asked: the backends of the work, in the order of the settings.
        labels: int64 [N], the correct classes.
        probabilities: float32 [N, classes], this backend's predictions.
        network: the network of the models.
        weights: returns a backend's weights, or None if the difference of the weights has no meaning.

    Raises:
        ConflictError: the other backend has other labels, because the dataset has changed in the meantime.
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
            raise ConflictError(f"{other} and {mine} read different data: the dataset has changed in the meantime")
        both = {mine: probabilities, other: theirs["probabilities"]}
        pair = sorted(both, key=asked.index)
        comparison = metrics.compare_predictions(labels, {backend: both[backend] for backend in pair})
        one, two = weights(pair[0]), weights(pair[1])
        if one and two:
            comparison.max_weight_difference = max(float(np.abs(one[name] - two[name]).max()) for name in one)
        comparison.notes = notes(network)
        run.report_comparison(pair, comparison)


def notes(network: Network) -> list[str]:
    """Return the reasons why models of two backends differ by more than rounding, although all inputs are the same."""
    if network.is_random:
        return ["each framework draws its own dropout masks: the models differ by more than rounding"]
    return []
