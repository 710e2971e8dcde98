"""`JobContext`: what every job of a trainer uses, and how a model is published."""

import platform
import time
from dataclasses import dataclass

import numpy as np
import structlog
from redis import Redis

from shared.backend import Backend, Events
from shared.data import datasets
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import CorruptModelError, UnavailableError
from shared.exports.export_store import ExportStore
from shared.exports.exporters import Exporters
from shared.jobs.payloads import PublishingJob
from shared.jobs.results import ModelReference
from shared.jobs.run_state import Run
from shared.models import golden_check
from shared.models.manifest import ModelDescription
from shared.models.registry import ModelRegistry
from shared.network.weights import Weights
from shared.serving.blocking_calls import ask_all_predictors
from shared.serving.client import ConnectionFailedError
from shared.settings import Settings
from shared.training.checkpoints import Checkpoints

WARM_TIMEOUT_S = 30
PUBLISH_ATTEMPTS = 8
PUBLISH_AGAIN_S = 1.0  # between two attempts to write a model to a disk that is full

log = structlog.get_logger()


@dataclass(frozen=True)
class JobContext:
    """What a work horse inherits from its parent process.

    The parent makes the context once, before it forks. Every work horse then finds the framework imported and
    everything below ready to use.

    Attributes:
        backend: the framework's module.
        settings: the settings of the trainer.
        redis: the connection.
        registry: the model volume.
        checkpoints: the files of runs that have not ended.
        events: writes the figures of an epoch for TensorBoard.
        exports: the files that were made of models.
        exporters: the formats in which this trainer can write models.
    """

    backend: Backend
    settings: Settings
    redis: Redis
    registry: ModelRegistry
    checkpoints: Checkpoints
    events: Events
    exports: ExportStore
    exporters: Exporters

    def configure(self, run: Run, seed: int, device: str = "") -> str:
        """Set the framework's threads, device, seed and TF32. Report the device that it took, and whether TF32 is on.

        Args:
            run: the run that reports it.
            seed: for what the framework draws itself.
            device: by default that of the settings.

        Returns:
            The device that the framework took: "cpu" or "cuda".

        Raises:
            UnavailableError: the settings ask for a GPU and there is none.
        """
        settings = self.settings
        try:
            used = self.backend.configure(settings.threads_per_backend, device or settings.device, seed, settings.tf32)
        except UnavailableError as error:
            raise UnavailableError(f"TANDEM_DEVICE={settings.device}, but {error}") from None
        run.report(device=used, tf32=settings.tf32 and used == "cuda")
        return used

    def load(self, dataset: Dataset, split: SplitName) -> Split:
        """Return a split of a dataset, read by the framework.

        Raises:
            MissingDatasetError: the dataset is not on this machine.
        """
        datasets.ensure_cached(dataset, self.settings)
        return self.backend.load_data(dataset, self.settings.cache_dir, split)

    def publish(self, run: Run, job: PublishingJob, description: ModelDescription, weights: Weights) -> ModelReference:
        """Publish a model of this backend, after its predictor has loaded it. Return the model's identity.

        The manifest also gets the versions of the packages, and the model's probabilities on fixed inputs.

        Args:
            run: the run that publishes. From here on it cannot be cancelled.
            job: names the model and its version.
            description: what the manifest says about the model.
            weights: in the canonical layout.

        Raises:
            AlreadyPublishedError: another run published this version.
            CorruptModelError: the predictor computes other probabilities than this process, or cannot load the model.
            UnavailableError: the disk refused the files for some seconds. Nothing of them is left.
            SupersededError: another execution has taken the run over, or it was cancelled.
        """
        backend, name, version = self.backend.NAME, job.name, job.version
        answer = golden_check.compute_probabilities(self.backend, description.network, weights)
        versions = {"python": platform.python_version(), "numpy": np.__version__, **self.backend.versions()}
        description = description.model_copy(update={"versions": versions, "golden": answer})
        run.claim_publication()
        for attempt in range(1, PUBLISH_ATTEMPTS + 1):
            try:
                self.registry.publish(
                    name, backend, version, description, weights, job.id, lambda draft: self._warm(run, name, draft)
                )
                break
            except OSError as error:
                log.warning("the model could not be written", name=name, attempt=attempt, reason=str(error))
                if attempt == PUBLISH_ATTEMPTS:
                    if isinstance(error, UnavailableError):  # the object store says itself what to do
                        raise
                    raise UnavailableError(
                        f"the model could not be written ({error.strerror}): free space on the model volume, "
                        "then submit the work again"
                    ) from None
                time.sleep(PUBLISH_AGAIN_S)
        return ModelReference(name=name, backend=backend, version=version)

    def _warm(self, run: Run, name: str, draft: str) -> None:
        """Have the backend's predictors load a draft of a model. If none answers, the run gets a warning and goes on.

        A predictor that does not answer, beside another that does, loads the model for its first prediction.

        Raises:
            CorruptModelError: a predictor refuses the draft.
        """
        urls = self.settings.urls_of(self.backend.NAME)
        try:
            replies = ask_all_predictors(urls, f"/warm/{name}/{draft}", b"", WARM_TIMEOUT_S)
        except (ConnectionFailedError, TimeoutError) as error:
            log.warning("the predictor did not answer and could not load the new model", name=name, reason=str(error))
            run.warn(
                f"{self.backend.NAME}'s predictor did not answer, so it did not load the model before the publication: "
                "the first prediction takes longer"
            )
            return
        for reply in replies:
            if reply.status >= 400:
                raise CorruptModelError(f"the predictor refuses the model: {reply.body.decode(errors='replace')}")
