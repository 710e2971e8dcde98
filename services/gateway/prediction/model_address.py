"""A model as other protocols address it: one name, pictures in, one or several outputs.

`article-mnist-tensorflow` is one backend's model, with the output `probabilities`. `article-mnist` is the
models of all backends, with one output per backend, named after the backend. Either text is called a title.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from services.gateway.prediction.outcomes import Answer, Failure, Outcome
from services.gateway.prediction.triton_statistics import RequestTimer
from shared.errors import NotFoundError, UnavailableError
from shared.models.aliases import Aliases
from shared.models.cached_reads import NotCachedError, call_cached_only
from shared.models.manifest import Manifest
from shared.models.registry import VISIBLE_AFTER_S, ModelRegistry
from shared.models.versions import Alias
from shared.network.layers import Shape

T = TypeVar("T")
INPUT, OUTPUT = "image", "probabilities"
MAX_KEPT = 1024  # versions that were looked up in the last VISIBLE_AFTER_S seconds


@dataclass(frozen=True)
class ModelAddress:
    """One version of a model, of one backend or of all.

    Attributes:
        title: the name that the client sent: `name`, or `name-backend`.
        name: the model's name.
        backends: the backends whose models are asked.
        classes: how many classes the model has.
    """

    title: str
    name: str
    backends: tuple[str, ...]
    version: int
    input_shape: Shape
    classes: int

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Return the backend behind each output name. Every output is float32 [N, classes]."""
        if self.title == self.name:
            return {backend: backend for backend in self.backends}
        return {OUTPUT: self.backends[0]}


def parse_title(title: str, backends: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Split a title into the model's name and its backends. No model's name ends in `-<backend>`."""
    for backend in backends:
        if title.endswith(f"-{backend}"):
            return title.removesuffix(f"-{backend}"), (backend,)
    return title, backends


@dataclass(frozen=True)
class ModelAddresses:
    """Finds the models on the volume by title, version and alias.

    `find_model` and `find_version` keep what they found for VISIBLE_AFTER_S, so that a prediction asks no disk. A
    publication takes at least as long, so a new version serves when its training has succeeded.
    """

    registry: ModelRegistry
    aliases: Aliases
    backends: tuple[str, ...]
    _kept: dict[tuple[Any, ...], tuple[float, Any]] = field(default_factory=dict)  # what was found, and until when

    def resolve_version(self, name: str, backends: tuple[str, ...], version: int | Alias | None) -> int:
        """Return the version, the one that its alias points to, or by default the newest that all these backends have.

        Raises:
            NotFoundError: there is no such version, or the alias was never set.
        """
        return self.registry.resolve_version(name, backends, self._number_of(name, version))

    def resolve_model(self, title: str, version: int | Alias | None = None) -> ModelAddress:
        """Return the address of a version, by default of the newest that all its backends have.

        Raises:
            NotFoundError: there is none; the message lists the models that are ready.
        """
        name, backends = parse_title(title, self.backends)
        number, manifest = self.registry.resolve(name, backends, self._number_of(name, version))
        return ModelAddress(title, name, backends, number, manifest.network.input_shape, len(manifest.classes))

    async def find_model(self, title: str, version: int | Alias | None = None) -> ModelAddress:
        """Do as `resolve_model`, on the event loop. The answer may be VISIBLE_AFTER_S old."""
        return await self._find((title, version), version, lambda: self.resolve_model(title, version))

    async def find_version(
        self, name: str, backends: tuple[str, ...], version: int | Alias | None
    ) -> tuple[int, Manifest]:
        """Do as `resolve_version`, on the event loop, and return the first backend's manifest, too.

        The answer may be VISIBLE_AFTER_S old.
        """

        def resolve() -> tuple[int, Manifest]:
            return self.registry.resolve(name, backends, self._number_of(name, version))

        return await self._find((name, backends, version), version, resolve)

    async def _find(self, key: tuple[Any, ...], version: int | Alias | None, find: Callable[[], T]) -> T:
        """Return what is kept under a key, or look it up. What an alias means is never kept."""
        now_s = monotonic()
        kept_until_s, found = self._kept.get(key, (0.0, None))
        if now_s < kept_until_s:
            return cast(T, found)
        if isinstance(version, str):
            return await asyncio.to_thread(find)
        try:
            found = call_cached_only(find)
        except NotCachedError:
            found = await asyncio.to_thread(find)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = now_s + VISIBLE_AFTER_S, found
        return cast(T, found)

    def _number_of(self, name: str, version: int | Alias | None) -> int | None:
        """Return the number of a version, or None if the client named none. An alias is looked up in Redis.

        Raises:
            NotFoundError: the alias was never set.
        """
        if not isinstance(version, str):
            return version
        number = self.aliases.of(name).get(version)
        if number is None:
            where = f"/v1/models/<name>/aliases/{version}"
            raise NotFoundError(f"the model {name[:80]!r} has no alias {version}: set it with PUT {where}")
        return number

    def versions(self, title: str) -> list[int]:
        """Return the versions that all backends of a title have, oldest first."""
        name, backends = parse_title(title, self.backends)
        return sorted(set.intersection(*(set(self.registry.versions(name, backend)) for backend in backends)))

    def titles(self) -> Iterator[tuple[str, list[int]]]:
        """Yield every title that has a version, and its versions, oldest first.

        The titles are each model's name, and the name with each backend.
        """
        for name, published in self.registry.list_all().items():
            if all(backend in published for backend in self.backends):
                first, *others = (published[backend] for backend in self.backends)
                if common := sorted(set(first).intersection(*others)):
                    yield name, common
            for backend in self.backends:
                if backend in published:
                    yield f"{name}-{backend}", published[backend]


def require_all(outcomes: dict[str, Outcome], images: int, timed: RequestTimer) -> dict[str, NDArray[np.float32]]:
    """Return each backend's probabilities, float32 [N, classes].

    Args:
        images: how many images were predicted.
        timed: records this number and the compute time.

    Raises:
        UnavailableError: a backend gave no answer. These protocols have no partial answers.
    """
    if failures := [outcome.reason for outcome in outcomes.values() if isinstance(outcome, Failure)]:
        raise UnavailableError("; ".join(failures))
    answers = cast(dict[str, Answer], outcomes)
    timed.mark_answered(images, max(answer.compute_ms for answer in answers.values()))
    return {backend: answer.probabilities for backend, answer in answers.items()}
