"""A deletion's run: remove a model and its exports from the volume."""

from shared.jobs.payloads import DeletionJob
from shared.jobs.run_state import SUCCEEDED, Run
from shared.training.context import JobContext


def delete(context: JobContext, run: Run, job: DeletionJob) -> None:
    """Perform a deletion's job. A model that is gone already is no failure.

    Raises:
        SupersededError: another execution has taken the run over, or it was cancelled.
    """
    context.registry.delete(job.name, run.backend, job.model_version)
    context.exports.delete(job.name, run.backend, job.model_version)
    run.finish(SUCCEEDED)
