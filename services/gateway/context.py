"""What every resource of the gateway needs, made once at the start."""

from asyncio import AbstractEventLoop
from dataclasses import dataclass, field

from redis import Redis

from services.gateway.predictors import Predictors
from services.gateway.statistics import Statistics
from shared import dataset
from shared.aliases import Aliases
from shared.dataset import Dataset
from shared.errors import InvalidRequestError, NotFoundError
from shared.jobs import Jobs, connect, signing_key
from shared.settings import Settings
from shared.store import Store
from shared.versions import Alias


@dataclass(frozen=True)
class Context:
    settings: Settings
    redis: Redis
    jobs: Jobs
    store: Store
    predictors: Predictors
    aliases: Aliases
    statistics: Statistics = field(default_factory=Statistics)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Context":
        redis = connect(settings.redis_url, patient=False)
        return cls(
            settings,
            redis,
            Jobs(redis, settings.job_timeout_s, signing_key(settings.key_file)),
            Store(settings.model_dir),
            Predictors(settings),
            Aliases(redis),
        )

    def start(self, loop: AbstractEventLoop) -> None:
        """The server's loop runs: predictors are asked on it."""
        self.predictors.loop = loop

    def resolve(self, name: str, backends: tuple[str, ...], version: int | Alias | None) -> int:
        """The version asked for, or that its alias means; else the newest that all the backends have.

        Raises:
            NotFoundError: there is none, or nobody has set the alias.
        """
        if isinstance(version, str):
            found = self.aliases.of(name).get(version)
            if found is None:
                where = f"/v1/models/<name>/aliases/{version}"
                raise NotFoundError(f"no version of the model {name[:80]!r} is {version}: PUT one to {where}")
            version = found
        return self.store.resolve(name, backends, version)

    def require_data(self, found: Dataset) -> None:
        """See that a dataset is here and whole, so that no job begins that cannot read it.

        Raises:
            MissingDatasetError, InvalidDatasetError: what is wrong with it.
        """
        dataset.prepare(found, self.settings)
        dataset.verify(found)

    def choose_backends(self, asked: list[str] | None) -> tuple[str, ...]:
        """The backends asked for, in the order of the settings; all by default.

        Raises:
            InvalidRequestError: one is unknown or named twice.
        """
        if asked is None:
            return self.settings.backends
        known = ", ".join(self.settings.backends)
        for backend in asked:
            if backend not in self.settings.backends:
                raise InvalidRequestError(f"unknown backend {backend[:80]!r}: choose from {known}")
        if len(set(asked)) != len(asked):
            raise InvalidRequestError(f"name each backend once; there are {known}")
        return tuple(backend for backend in self.settings.backends if backend in asked)
