"""A backend's queue consumer: trains, publishes, evaluates and deletes, whatever the framework.

`main` is the parent: it has imported the framework, and forks a work horse
for each job. `perform` is what a work horse runs. How an epoch is trained is
the backend's affair; when to look, what to write down and how to time it is
decided here, once, so that the figures of two frameworks mean the same.
"""

import io
import math
import platform
import statistics
import time
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from redis import Redis
from rq.timeouts import JobTimeoutException

from shared import dataset, metrics
from shared.backend import Backend
from shared.dataset import Split
from shared.errors import ConflictError, InvalidRequestError, SupersededError, TandemError, UntrustedJobError
from shared.jobs import connect, signing_key, trusted
from shared.messages import TrainingRequest
from shared.network import Network
from shared.runs import SUCCEEDED, Run
from shared.settings import Settings
from shared.store import Store
from shared.weights import initial_weights
from shared.worker import TrainerWorker

ANSWERS_TTL_S = 3600

log = structlog.get_logger()


@dataclass(frozen=True)
class Trainer:
    """What a work horse inherits from its parent."""

    backend: Backend
    settings: Settings
    redis: Redis
    store: Store


_trainer: Trainer | None = None


def main(backend: Backend) -> int:
    """Consume the backend's queue until told to stop."""
    global _trainer  # noqa: PLW0603 - a fork inherits it, and RQ finds `perform` by its name alone
    settings = Settings.from_env()
    redis = connect(settings.redis_url, patient=True)
    _trainer = Trainer(backend, settings, redis, Store(settings.model_dir))
    _trainer.store.collect()
    log.info("trainer ready", backend=backend.NAME, threads=settings.threads_per_backend, **backend.versions())
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    alive = settings.state_dir / f"{backend.NAME}-trainer.alive"
    TrainerWorker(backend.NAME, redis, alive).work(logging_level="WARNING")
    return 0


def perform(payload: str, signature: str) -> None:
    """Run one signed job in a work horse, and report however it ends."""
    assert _trainer is not None, "perform runs in a work horse of main"
    job = trusted(payload, signature, signing_key(_trainer.settings.key_file))
    if job["backend"] != _trainer.backend.NAME:
        raise UntrustedJobError(f"the job was signed for {job['backend']}")
    run = Run(_trainer.redis, job["kind"], job["id"], job["backend"])
    where = {"kind": job["kind"], "id": job["id"], "backend": job["backend"]}
    settings = _trainer.settings
    try:
        if not run.start(threads=settings.threads_per_backend):
            return
        log.info("started", **where)
        KINDS[job["kind"]](_trainer, run, job)
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


def _configure(trainer: Trainer, run: Run, seed: int) -> None:
    settings = trainer.settings
    run.report(device=trainer.backend.configure(settings.threads_per_backend, settings.device, seed))


def train(trainer: Trainer, run: Run, job: dict[str, Any]) -> None:
    """Train a network and publish the model."""
    backend, settings = trainer.backend, trainer.settings
    request = TrainingRequest.model_validate(job["request"])
    network = Network.model_validate(job["network"])
    _configure(trainer, run, request.seed)
    found = dataset.find(request.dataset, settings)
    dataset.prepare(found, settings)
    data = backend.load_data(found, settings.cache_dir, "train")
    test = backend.load_data(found, settings.cache_dir, "test")

    shared = request.pairing == "shared"
    model = backend.define_network(network, initial_weights(network, request.seed) if shared else None)
    optimizer = backend.define_optimizer(request.optimizer, model)
    loss = backend.define_loss()
    epochs = range(1, request.epochs + 1)
    orders = (
        (dataset.order(request.seed, epoch, len(data)) for epoch in epochs) if shared else repeat(None, len(epochs))
    )

    history: list[dict[str, Any]] = []
    begun = time.perf_counter()
    for epoch, (epoch_loss, accuracy) in enumerate(
        backend.train(model, optimizer, loss, data, request.batch_size, orders), start=1
    ):
        held = backend.evaluate(model, loss, test)
        if not (math.isfinite(epoch_loss) and math.isfinite(held.loss)):
            raise InvalidRequestError(f"the loss is not finite after epoch {epoch}: lower the learning rate")
        entry = {
            "epoch": epoch,
            "loss": epoch_loss,
            "accuracy": accuracy,
            "test_loss": held.loss,
            "test_accuracy": held.accuracy,
            "seconds": time.perf_counter() - begun,
        }
        run.report_epoch(entry)
        history.append(entry)
        begun = time.perf_counter()

    name, version = job["name"], job["version"]
    manifest = {
        "request": job["request"],
        "network": network.model_dump(mode="json"),
        "classes": list(found.classes),
        "metrics": {key: history[-1][key] for key in ("loss", "accuracy", "test_loss", "test_accuracy")},
        "data": _fingerprints(found.name, train=data, test=test),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, **backend.versions()},
    }
    run.claim_publication()
    trainer.store.publish(name, backend.NAME, version, manifest, backend.save(model), writer=job["id"])
    _compare(trainer.redis, run, job["request"]["backends"], test.labels, held.probabilities)
    run.finish(
        SUCCEEDED,
        model={"name": name, "backend": backend.NAME, "version": version},
        examples_per_second=len(data) / statistics.median(entry["seconds"] for entry in history),
    )


def _fingerprints(name: str, **splits: Split) -> dict[str, str]:
    return {"dataset": name, **{split: dataset.fingerprint(data) for split, data in splits.items()}}


def evaluate(trainer: Trainer, run: Run, job: dict[str, Any]) -> None:
    """Hold a published model against a split, and against the other backends'."""
    backend, settings = trainer.backend, trainer.settings
    _configure(trainer, run, seed=0)
    found = dataset.find(job["dataset"], settings)
    dataset.prepare(found, settings)
    data = backend.load_data(found, settings.cache_dir, job["split"])
    published = trainer.store.verify(job["model"], backend.NAME, job["version"])
    model = backend.define_network(published.network, published.weights)
    result = backend.evaluate(model, backend.define_loss(), data)
    _compare(trainer.redis, run, job["asked"], data.labels, result.probabilities)
    run.finish(
        SUCCEEDED,
        loss=result.loss,
        accuracy=result.accuracy,
        **metrics.summary(data.labels, result.probabilities, published.manifest["classes"]),
    )


def delete(trainer: Trainer, run: Run, job: dict[str, Any]) -> None:
    """Take a model off the volume; one that is gone already is no failure."""
    trainer.store.delete(job["name"], trainer.backend.NAME, job["model_version"])
    run.finish(SUCCEEDED)


def _compare(
    redis: Redis, run: Run, asked: list[str], labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> None:
    """Compare with every backend that has answered already; the last to answer completes the pairs.

    Two that end at the same moment both write the same comparison.

    Raises:
        ConflictError: the other backend answered for other examples: the dataset has changed meanwhile.
    """
    mine = run.backend
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, labels=labels, probabilities=probabilities)
    redis.set(f"{run.key}:answers", buffer.getvalue(), ex=ANSWERS_TTL_S)
    for other in asked:
        stored = redis.get(f"{run.work}:{other}:answers")
        if other == mine or not isinstance(stored, bytes):
            continue
        theirs = np.load(io.BytesIO(stored), allow_pickle=False)
        if not np.array_equal(theirs["labels"], labels):
            raise ConflictError(f"{other} and {mine} read different data: the dataset has changed in between")
        both = {mine: probabilities, other: theirs["probabilities"]}
        pair = sorted(both, key=asked.index)
        run.report_comparison(pair, metrics.comparison(labels, {backend: both[backend] for backend in pair}))


KINDS = {"training": train, "evaluation": evaluate, "deletion": delete}
