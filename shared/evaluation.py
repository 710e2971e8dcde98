"""An evaluation's run, and how what two backends answered comes to be compared."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import dataset, metrics
from shared.errors import ConflictError
from shared.network import Network
from shared.runs import SUCCEEDED, Run
from shared.weights import Weights
from shared.workbench import Workbench

ANSWERS_TTL_S = 3600


def evaluate(bench: Workbench, run: Run, job: dict[str, Any]) -> None:
    """Hold a published model against a split, and against the other backends'."""
    backend = bench.backend
    bench.configure(run, seed=0)
    data = bench.load(dataset.find(job["dataset"], bench.settings), job["split"])
    published = bench.store.verify(job["model"], backend.NAME, job["version"])
    model = backend.define_network(published.network, published.weights)
    result = backend.evaluate(model, backend.define_loss(), data)
    compare(bench, run, job["asked"], data.labels, result.probabilities, published.network, lambda _: None)
    run.finish(
        SUCCEEDED,
        loss=result.loss,
        accuracy=result.accuracy,
        **metrics.summary(data.labels, result.probabilities, published.manifest["classes"]),
    )


def compare(
    bench: Workbench,
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
    bench.redis.set(f"{run.key}:answers", buffer.getvalue(), ex=ANSWERS_TTL_S)
    for other in asked:
        stored = bench.redis.get(f"{run.work}:{other}:answers")
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
