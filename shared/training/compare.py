"""Compare the predictions of two backends for the same examples."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConflictError
from shared.jobs.run_state import Run
from shared.network.description import Network
from shared.network.weights import Weights
from shared.training import metrics
from shared.training.checkpoints import ANSWERS
from shared.training.context import JobContext


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
    write the same comparison. The predictions are kept in files on the model volume, which are removed when all pairs
    are complete. If this backend's predictions cannot be stored, the run gets a warning.

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
    try:
        context.checkpoints.write(run, {"labels": labels, "probabilities": probabilities}, None, ANSWERS)
    except OSError as error:
        run.warn(f"the predictions could not be stored ({error.strerror}): slower backends cannot be compared with it")
    for other in asked:
        stored = context.checkpoints.read(_run_of(run, other), ANSWERS) if other != mine else None
        if stored is None:
            continue
        theirs, _ = stored
        if not np.array_equal(theirs["labels"], labels):
            raise ConflictError(f"{other} and {mine} read different data: the dataset has changed in the meantime")
        both = {mine: probabilities, other: theirs["probabilities"]}
        pair = sorted(both, key=asked.index)
        comparison = metrics.compare_predictions(labels, {backend: both[backend] for backend in pair})
        one, two = weights(pair[0]), weights(pair[1])
        if one and two:
            comparison.max_weight_difference = max(float(np.abs(one[name] - two[name]).max()) for name in one)
        comparison.notes = notes(network) + note_devices({each: _run_of(run, each).read() for each in pair})
        run.report_comparison(pair, comparison)
    if run.count_comparisons() == len(list(itertools.combinations(asked, 2))):
        for backend in asked:
            context.checkpoints.remove(_run_of(run, backend), ANSWERS)


def _run_of(run: Run, backend: str) -> Run:
    """Return another backend's run of the same work."""
    return Run(run.redis, run.kind, run.identity, backend)


def notes(network: Network) -> list[str]:
    """Return the reasons why models of two backends differ by more than rounding, although all inputs are the same."""
    if network.is_random:
        return ["each framework draws its own dropout masks: the models differ by more than rounding"]
    return []


def note_devices(runs: dict[str, dict[str, Any]]) -> list[str]:
    """Return what the devices of two backends' runs change in the comparison of their models.

    Args:
        runs: the fields `device` and `tf32` of each backend's run.
    """
    found = []
    devices = {backend: run.get("device") for backend, run in runs.items()}
    if len(set(devices.values())) > 1:
        computed = " and ".join(f"{backend} on {device}" for backend, device in devices.items())
        found.append(f"the backends computed on different devices: {computed}")
    rounded = [backend for backend, run in runs.items() if run.get("tf32")]
    if rounded:
        found.append(f"TF32 was on, which keeps three digits of each factor: {' and '.join(rounded)}")
    return found
