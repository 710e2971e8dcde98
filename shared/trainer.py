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

from shared import certificate, evaluation, training, transplant, welcome
from shared.backend import Backend, Events
from shared.jobs import connect
from shared.runs import SUCCEEDED, Run, is_open
from shared.scratch import Scratch
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import configure_logs
from shared.workbench import Workbench
from shared.worker import Work, consume, show_alive

log = structlog.get_logger()


def main(name: str, load: Callable[[], tuple[Backend, Events]]) -> int:
    """Consume the backend's queue until told to stop.

    Args:
        load: imports the backend, and what writes for TensorBoard; it takes seconds, and whoever starts with an
            empty volume need not wait for it.
    """
    settings = Settings.from_env()
    configure_logs(settings.logs)
    store, redis = Store(settings.model_dir), connect(settings.redis_url, patient=True)
    store.collect()
    if welcome.publish(store, name):
        log.info("welcome model published", backend=name)
    show_alive(name, settings)
    backend, events = load()
    log.info("trainer ready", backend=name, threads=settings.threads_per_backend, **backend.versions())
    bench = Workbench(backend, settings, redis, store, Scratch(settings.model_dir), events)
    works: dict[str, Work] = {kind: partial(_on_bench, bench, kind) for kind in KINDS}
    return consume(name, settings, redis, works)


def _on_bench(bench: Workbench, kind: str, run: Run, job: dict[str, Any]) -> None:
    bench.scratch.collect(lambda kind, identity: is_open(bench.redis, kind, identity))
    run.report(threads=bench.settings.threads_per_backend)
    KINDS[kind](bench, run, job)


def delete(bench: Workbench, run: Run, job: dict[str, Any]) -> None:
    """Take a model off the volume; one that is gone already is no failure."""
    bench.store.delete(job["name"], run.backend, job["model_version"])
    run.finish(SUCCEEDED)


KINDS = {
    "training": training.train,
    "evaluation": evaluation.evaluate,
    "certificate": certificate.certify,
    "transplant": transplant.transplant,
    "deletion": delete,
}
