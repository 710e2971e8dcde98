"""An evaluation's run: measure a published model, and compare it with those of the other backends."""

from shared.data import datasets
from shared.jobs.payloads import EvaluationJob
from shared.jobs.run_state import SUCCEEDED, Run
from shared.training import metrics
from shared.training.compare import compare
from shared.training.context import JobContext


def evaluate(context: JobContext, run: Run, job: EvaluationJob) -> None:
    """Perform an evaluation's job: measure a published model on a split.

    Raises:
        NotFoundError: the model was deleted in the meantime.
        CorruptModelError: the model's files are not as they were published.
        ConflictError: another backend read different data.
        SupersededError: another execution has taken the run over, or it was cancelled.
    """
    backend = context.backend
    context.configure(run, seed=0)
    data = context.load(datasets.find(job.dataset, context.settings, job.data_version), job.split)
    published = context.registry.verify(job.model, backend.NAME, job.version)
    network = published.manifest.network
    scores = backend.evaluate(backend.define_network(network, published.weights), backend.define_loss(), data)
    compare(context, run, job.asked, data.labels, scores.probabilities, network, lambda _: None)
    report = metrics.class_report(data.labels, scores.probabilities, published.manifest.classes)
    run.finish(
        SUCCEEDED,
        loss=scores.loss,
        accuracy=scores.accuracy,
        confusion=report.confusion,
        per_class=report.per_class,
    )
