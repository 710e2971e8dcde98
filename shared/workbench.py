"""What a work horse inherits from its parent, and what every job begins with."""

from dataclasses import dataclass

from redis import Redis

from shared import dataset
from shared.backend import Backend
from shared.dataset import Dataset, Split, SplitName
from shared.runs import Run
from shared.scratch import Scratch
from shared.settings import Settings
from shared.store import Store


@dataclass(frozen=True)
class Workbench:
    backend: Backend
    settings: Settings
    redis: Redis
    store: Store
    scratch: Scratch

    def configure(self, run: Run, seed: int) -> None:
        """Give the framework its threads, device and seed, and write down which device it took."""
        settings = self.settings
        run.report(device=self.backend.configure(settings.threads_per_backend, settings.device, seed))

    def load(self, found: Dataset, split: SplitName) -> Split:
        """A split, as the framework reads it.

        Raises:
            MissingDatasetError: it is not on this machine.
        """
        dataset.prepare(found, self.settings)
        return self.backend.load_data(found, self.settings.cache_dir, split)
