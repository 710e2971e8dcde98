"""A backend's trainer: the process that performs the backend's jobs, whatever the framework.

`main` runs in the parent process. It imports the framework last, and forks a work horse for each job
(`shared/jobs/worker.py`). The backend decides how an epoch is trained. The modules of the jobs decide when to evaluate,
what to report and how to measure time, so that the figures of two frameworks are comparable.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from shared.backend import Backend, Events
from shared.exports.export_store import ExportStore
from shared.exports.exporters import NEUTRAL_EXPORTERS, Exporters
from shared.exports.stored_exports import open_exports
from shared.jobs.connection import connect
from shared.jobs.kinds import CERTIFICATE, DELETION, EVALUATION, EXPORT, TRAINING, TRANSPLANT
from shared.jobs.reaper import Reaper
from shared.jobs.run_state import Run, is_open
from shared.jobs.stored_ended_jobs import open_ended_jobs
from shared.jobs.worker import JobHandler, consume, show_alive
from shared.logs import configure_logs
from shared.models.open_registry import open_registry
from shared.models.publications import check_conditional_writes
from shared.models.registry import ModelRegistry
from shared.models.starter import publish_starter
from shared.object_store import open_object_store
from shared.process import run_in_child
from shared.settings import Settings
from shared.training.certify import certify
from shared.training.context import JobContext
from shared.training.delete import delete
from shared.training.evaluate import evaluate
from shared.training.export import export
from shared.training.stored_checkpoints import open_checkpoints
from shared.training.train import train
from shared.training.transplant import transplant

HANDLERS = (
    (TRAINING, train),
    (EVALUATION, evaluate),
    (CERTIFICATE, certify),
    (TRANSPLANT, transplant),
    (EXPORT, export),
    (DELETION, delete),
)

PREPARE_AGAIN_S = 2.0  # if the object store does not answer when the trainer starts

log = structlog.get_logger()


def main(name: str, load: Callable[[], tuple[Backend, Events, Exporters]]) -> int:
    """Perform the jobs of a backend's queue until a signal stops the process.

    Args:
        name: the backend.
        load: imports the backend, the function that writes for TensorBoard, and the exporters that only this backend
            has. This takes seconds, so it happens after the starter model is published: users of an empty volume need
            not wait for it.

    Returns:
        The exit status of the process.
    """
    settings = Settings.from_env()
    configure_logs(settings.logs)
    registry, redis = open_registry(settings), connect(settings, patient=True)
    exports = open_exports(settings)
    prepare = partial(_prepare, settings, registry, exports, name)
    if settings.model_store:  # whoever has used its client must not fork
        while not run_in_child(prepare):
            time.sleep(PREPARE_AGAIN_S)
    reaper = Reaper(name, settings, open_ended_jobs(settings))
    reaper.start()
    if not settings.model_store:
        prepare()
    show_alive(name, settings)
    backend, events, exporters = load()
    log.info("trainer ready", backend=name, threads=settings.threads_per_backend, **backend.versions())
    checkpoints, exporters = open_checkpoints(settings), {**NEUTRAL_EXPORTERS, **exporters}
    context = JobContext(backend, settings, redis, registry, checkpoints, events, exports, exporters)
    handlers = {
        kind.name: JobHandler(kind.job, partial(_perform, context, function), kind.run) for kind, function in HANDLERS
    }
    return consume(name, settings, redis, handlers, reaper)


def _prepare(settings: Settings, registry: ModelRegistry, exports: ExportStore, backend: str) -> None:
    """Remove what killed trainers have left, and publish the starter model if there is no other.

    Raises:
        RuntimeError: the object store cannot be used.
    """
    if settings.model_store:
        check_conditional_writes(open_object_store(settings.model_store))
    registry.remove_abandoned_drafts()
    exports.remove_abandoned_drafts()
    if publish_starter(registry, backend):
        log.info("welcome model published", backend=backend)


def _perform(context: JobContext, function: Callable[[JobContext, Run, Any], None], run: Run, job: Any) -> None:
    """Remove the files of work that has ended, report the number of threads, and perform the job."""
    context.checkpoints.remove_ended(partial(is_open, context.redis))
    run.report(threads=context.settings.threads_per_backend)
    function(context, run, job)
