"""A backend's queue consumer: what its jobs do, whatever the framework.

`main` is the parent: it has imported the framework, and forks a work horse
for each job. `perform` is what a work horse runs. How an epoch is trained is
the backend's affair; when to look, what to write down and how to time it is
decided once, in the modules of the jobs, so that the figures of two
frameworks mean the same.
"""

from typing import Any

import structlog
from rq.timeouts import JobTimeoutException

from shared import certificate, evaluation, training, transplant
from shared.backend import Backend
from shared.errors import SupersededError, TandemError, UntrustedJobError
from shared.jobs import connect, signing_key, trusted
from shared.runs import SUCCEEDED, Run, is_open
from shared.scratch import Scratch
from shared.settings import Settings
from shared.store import Store
from shared.workbench import Workbench
from shared.worker import TrainerWorker

log = structlog.get_logger()

_bench: Workbench | None = None


def main(backend: Backend) -> int:
    """Consume the backend's queue until told to stop."""
    global _bench  # noqa: PLW0603 - a fork inherits it, and RQ finds `perform` by its name alone
    settings = Settings.from_env()
    redis = connect(settings.redis_url, patient=True)
    _bench = Workbench(backend, settings, redis, Store(settings.model_dir), Scratch(settings.model_dir))
    _bench.store.collect()
    log.info("trainer ready", backend=backend.NAME, threads=settings.threads_per_backend, **backend.versions())
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    alive = settings.state_dir / f"{backend.NAME}-trainer.alive"
    TrainerWorker(backend.NAME, redis, alive).work(logging_level="WARNING")
    return 0


def perform(payload: str, signature: str) -> None:
    """Run one signed job in a work horse, and report however it ends."""
    assert _bench is not None, "perform runs in a work horse of main"
    bench, settings = _bench, _bench.settings
    job = trusted(payload, signature, signing_key(settings.key_file))
    if job["backend"] != bench.backend.NAME:
        raise UntrustedJobError(f"the job was signed for {job['backend']}")
    run = Run(bench.redis, job["kind"], job["id"], job["backend"])
    where = {"kind": job["kind"], "id": job["id"], "backend": job["backend"]}
    bench.scratch.collect(lambda kind, identity: is_open(bench.redis, kind, identity))
    try:
        if not run.start(threads=settings.threads_per_backend):
            return
        log.info("started", **where)
        KINDS[job["kind"]](bench, run, job)
        log.info("succeeded", **where)
    except SupersededError as error:
        log.warning("superseded", reason=str(error), **where)
    except JobTimeoutException:
        run.fail(f"it took longer than {settings.job_timeout_s} s (TANDEM_JOB_TIMEOUT_S)")
        log.warning("timed out", **where)
    except TandemError as error:
        run.fail(str(error))
        log.warning("failed", reason=str(error), **where)
    except Exception as error:
        run.fail(f"{type(error).__name__}: {error}")
        log.exception("failed", **where)


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
