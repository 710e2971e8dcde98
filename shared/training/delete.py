"""Delete a model from the volume."""

from typing import Any

from shared.jobs.run_state import SUCCEEDED, Run
from shared.training.context import JobContext


def delete(context: JobContext, run: Run, job: dict[str, Any]) -> None:
    """Take a model off the volume; one that is gone already is no failure."""
    context.registry.delete(job["name"], run.backend, job["model_version"])
    run.finish(SUCCEEDED)
