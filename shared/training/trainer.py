"""A backend's queue consumer: what its jobs do, whatever the framework.

`main` is the parent: it imports the framework, once all is done that needs none,
and forks a work horse for each job (`shared/worker.py`). How an epoch is trained is the backend's
affair; when to look, what to write down and how to time it is decided once,
in the modules of the jobs, so that the figures of two frameworks mean the same.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from shared.backend import Backend, Events
from shared.jobs.job_queue import connect
from shared.jobs.run_state import Run, is_open
from shared.jobs.worker import Work, consume, show_alive
from shared.logs import configure_logs
from shared.models.registry import ModelRegistry
from shared.models.starter import publish_starter
from shared.settings import Settings
from shared.training import certify, evaluate, train, transplant
from shared.training.checkpoints import Checkpoints
from shared.training.context import JobContext
from shared.training.delete import delete

log = structlog.get_logger()


def main(name: str, load: Callable[[], tuple[Backend, Events]]) -> int:
    """Consume the backend's queue until told to stop.

    Args:
        load: imports the backend, and what writes for TensorBoard; it takes seconds, and whoever starts with an
            empty volume need not wait for it.
    """
    settings = Settings.from_env()
    configure_logs(settings.logs)
    registry, redis = ModelRegistry(settings.model_dir), connect(settings.redis_url, patient=True)
    registry.remove_abandoned_drafts()
    if publish_starter(registry, name):
        log.info("welcome model published", backend=name)
    show_alive(name, settings)
    backend, events = load()
    log.info("trainer ready", backend=name, threads=settings.threads_per_backend, **backend.versions())
    context = JobContext(backend, settings, redis, registry, Checkpoints(settings.model_dir), events)
    works: dict[str, Work] = {kind: partial(_on_bench, context, kind) for kind in KINDS}
    return consume(name, settings, redis, works)


def _on_bench(context: JobContext, kind: str, run: Run, job: dict[str, Any]) -> None:
    context.checkpoints.collect(lambda kind, identity: is_open(context.redis, kind, identity))
    run.report(threads=context.settings.threads_per_backend)
    KINDS[kind](context, run, job)


KINDS = {
    "training": train.train,
    "evaluation": evaluate.evaluate,
    "certificate": certify.certify,
    "transplant": transplant.transplant,
    "deletion": delete,
}
