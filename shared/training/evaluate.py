"""An evaluation's run, and how what two backends answered comes to be compared."""

from typing import Any

from shared.data import datasets
from shared.jobs.run_state import SUCCEEDED, Run
from shared.training import metrics
from shared.training.compare import compare
from shared.training.context import JobContext


def evaluate(context: JobContext, run: Run, job: dict[str, Any]) -> None:
    """Hold a published model against a split, and against the other backends'."""
    backend = context.backend
    context.configure(run, seed=0)
    data = context.load(datasets.find(job["dataset"], context.settings), job["split"])
    published = context.registry.verify(job["model"], backend.NAME, job["version"])
    model = backend.define_network(published.manifest.network, published.weights)
    result = backend.evaluate(model, backend.define_loss(), data)
    compare(context, run, job["asked"], data.labels, result.probabilities, published.manifest.network, lambda _: None)
    run.finish(
        SUCCEEDED,
        loss=result.loss,
        accuracy=result.accuracy,
        **metrics.summary(data.labels, result.probabilities, list(published.manifest.classes)),
    )
