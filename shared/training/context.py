"""What a work horse inherits from its parent, and how every job begins and every model is published."""

import platform
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from redis import Redis

from shared.backend import Backend, Events
from shared.data import datasets
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import CorruptModelError
from shared.jobs.run_state import Run
from shared.logs import REQUEST_ID, request_id
from shared.models import golden_check
from shared.models.manifest import ModelDescription
from shared.models.registry import ModelRegistry
from shared.network.weights import Weights
from shared.settings import Settings
from shared.training.checkpoints import Checkpoints

WARM_TIMEOUT_S = 30

log = structlog.get_logger()


@dataclass(frozen=True)
class JobContext:
    backend: Backend
    settings: Settings
    redis: Redis
    registry: ModelRegistry
    checkpoints: Checkpoints
    events: Events

    def configure(self, run: Run, seed: int) -> None:
        """Give the framework its threads, device and seed, and write down which device it took."""
        settings = self.settings
        run.report(device=self.backend.configure(settings.threads_per_backend, settings.device, seed))

    def load(self, found: Dataset, split: SplitName) -> Split:
        """A split, as the framework reads it.

        Raises:
            MissingDatasetError: it is not on this machine.
        """
        datasets.ensure_cached(found, self.settings)
        return self.backend.load_data(found, self.settings.cache_dir, split)

    def publish(self, run: Run, job: dict[str, Any], description: ModelDescription, weights: Weights) -> dict[str, Any]:
        """Publish a model of this backend, which its predictor has loaded before anybody sees it; its identity.

        Raises:
            CorruptModelError: the predictor does not get the answers that were got here.
        """
        backend, name, version = self.backend.NAME, job["name"], job["version"]
        answer = golden_check.compute_probabilities(self.backend, description.network, weights)
        versions = {"python": platform.python_version(), "numpy": np.__version__, **self.backend.versions()}
        description = description.model_copy(update={"versions": versions, "golden": answer})
        run.claim_publication()
        self.registry.publish(
            name, backend, version, description, weights, job["id"], lambda draft: self._warm(name, draft)
        )
        return {"name": name, "backend": backend, "version": version}

    def _warm(self, name: str, draft: str) -> None:
        """Have the predictor load a model that is not published yet; one that is away loads it when first asked."""
        url = f"{self.settings.url_of(self.backend.NAME)}/warm/{name}/{draft}"
        try:
            asked = urllib.request.Request(url, b"", {REQUEST_ID: request_id()})  # noqa: S310 - our own predictor
            urllib.request.urlopen(asked, timeout=WARM_TIMEOUT_S).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            raise CorruptModelError(f"the predictor refuses the model: {error.read().decode()}") from None
        except OSError as error:
            log.warning("the predictor was not there to load the new model", name=name, reason=str(error))
