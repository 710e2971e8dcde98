"""`Context`: the objects that every route of the gateway uses, made once when the process starts."""

from asyncio import AbstractEventLoop
from collections.abc import Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import structlog
from redis import Redis
from redis.exceptions import RedisError

from services.gateway.access.token_store import TokenStore
from services.gateway.feeds.job_feeds import JobFeeds
from services.gateway.prediction.dispatcher import Dispatcher
from services.gateway.prediction.model_address import ModelAddresses
from services.gateway.prediction.triton_statistics import TritonStatistics
from services.gateway.reports.drawn_reports import DrawnReports
from services.gateway.shared_state import SharedState
from shared.data import datasets
from shared.data.datasets import Dataset
from shared.data.stored_upload_store import open_upload_store
from shared.data.upload_store import UploadStore
from shared.errors import InvalidDatasetError, InvalidRequestError, MissingDatasetError
from shared.jobs.connection import connect
from shared.jobs.job_queue import JobQueue
from shared.jobs.pinned_data import list_pinned_versions
from shared.jobs.signing import signing_key
from shared.models.aliases import Aliases
from shared.models.open_registry import open_registry
from shared.models.registry import ModelRegistry
from shared.settings import Settings

DECODER_THREADS = 4

log = structlog.get_logger()


@dataclass(frozen=True)
class Context:
    """The objects that the gateway's routes share.

    Attributes:
        settings: the settings of the process.
        redis: the connection.
        jobs: submits and reads long work.
        registry: the model volume, which the gateway only reads.
        dispatcher: sends predictions to the backends' predictors.
        aliases: the aliases of models.
        addresses: finds the model that a request names.
        tokens: the access tokens.
        job_key: the key that signs jobs.
        feeds: the states of jobs that clients watch.
        uploads: the uploaded datasets.
        statistics: counts predictions for clients of Triton.
        reports: reports and figures that were drawn.
        shared: what the gateway's processes share; None if there is only this one.
        decoders: threads that open and decode pictures.
        large_decoder: the thread that decodes large pictures, one after the other, so that they delay no others.
    """

    settings: Settings
    redis: Redis
    jobs: JobQueue
    registry: ModelRegistry
    dispatcher: Dispatcher
    aliases: Aliases
    addresses: ModelAddresses
    tokens: TokenStore
    job_key: bytes
    feeds: JobFeeds
    uploads: UploadStore
    statistics: TritonStatistics = field(default_factory=TritonStatistics)
    reports: DrawnReports = field(default_factory=DrawnReports)
    shared: SharedState | None = None
    decoders: Executor = field(default_factory=lambda: ThreadPoolExecutor(DECODER_THREADS, "decoder"))
    large_decoder: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "large-decoder"))

    @classmethod
    def from_settings(cls, settings: Settings, shared: SharedState | None = None) -> "Context":
        """Make the objects. Nothing connects before the first request; the key that signs jobs is made if missing.

        Args:
            shared: what the gateway's processes share, if there are several.
        """
        redis = connect(settings, patient=False)
        registry, aliases = open_registry(settings), Aliases(redis)
        job_key = signing_key(settings.key_file)
        return cls(
            settings,
            redis,
            JobQueue(redis, settings, job_key),
            registry,
            Dispatcher(settings, shared.waiting if shared else None),
            aliases,
            ModelAddresses(registry, aliases, settings.backends),
            TokenStore(settings.token_file),
            job_key,
            JobFeeds(settings),
            open_upload_store(settings, partial(_find_pinned_versions, redis)),
            TritonStatistics(shared.statistics if shared else None),
            shared=shared,
        )

    def start(self, loop: AbstractEventLoop) -> None:
        """Let the dispatcher and the store of tokens use the server's event loop, once it runs.

        Meanwhile, a thread removes what a killed gateway has left of uploads.
        """
        self.dispatcher.start(loop)
        self.tokens.start(loop)
        loop.run_in_executor(None, self._sweep_uploads)

    def _sweep_uploads(self) -> None:
        try:
            self.uploads.sweep()
        except OSError as error:
            log.warning("leftovers of uploads could not be removed", reason=str(error))

    def require_data(self, found: Dataset) -> None:
        """Check that a dataset is on this machine and complete, so that no job is submitted that cannot read it.

        Raises:
            MissingDatasetError: files are missing.
            InvalidDatasetError: the user's own folder cannot be used.
        """
        datasets.ensure_cached(found, self.settings)
        datasets.verify(found)

    def find_training_data(self, name: str) -> Dataset:
        """Return the dataset on which a model was trained, as it is now.

        Raises:
            MissingDatasetError: it was deleted, or its folder was removed.
            InvalidDatasetError: the user's own folder cannot be used.
        """
        try:
            return datasets.find(name, self.settings)
        except InvalidDatasetError:
            raise
        except InvalidRequestError:
            raise MissingDatasetError(
                f"the model was trained on the dataset {name!r}, which is not here any more: upload it again, "
                "or name another dataset"
            ) from None

    def choose_backends(self, asked: list[str] | None) -> tuple[str, ...]:
        """Return the requested backends in the order of the settings; for None all backends.

        Raises:
            InvalidRequestError: a backend is unknown or named twice.
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


def _find_pinned_versions(redis: Redis, since_s: float) -> Collection[str] | None:
    """Return the versions of uploaded datasets that open jobs read, or None if Redis does not answer."""
    try:
        return list_pinned_versions(redis, since_s)
    except RedisError as error:
        log.warning("old versions of datasets are kept, because Redis does not answer", reason=str(error))
        return None
