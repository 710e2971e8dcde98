"""A model as other protocols know it: one name, one or several outputs, pictures in.

`article-mnist-tensorflow` is one backend's model, with the output
`probabilities`; `article-mnist` is all backends' at once, with one output for
each, named after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from services.gateway.context import Context
from services.gateway.line import Answer, Failure, Outcome
from services.gateway.statistics import Timed
from shared.errors import UnavailableError
from shared.layers import Shape
from shared.versions import Alias

INPUT, OUTPUT = "image", "probabilities"


@dataclass(frozen=True)
class Served:
    """One version of a model.

    title: the name that was asked for; without the backend at its end it is `name`.
    outputs: the backend that gives each output, float32 [N, classes].
    """

    title: str
    name: str
    backends: tuple[str, ...]
    version: int
    input_shape: Shape
    classes: int

    @property
    def outputs(self) -> dict[str, str]:
        if self.title == self.name:
            return {backend: backend for backend in self.backends}
        return {OUTPUT: self.backends[0]}


def parse(title: str, backends: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The name and the backends that a title means; no model's name ends in `-<backend>`."""
    for backend in backends:
        if title.endswith(f"-{backend}"):
            return title.removesuffix(f"-{backend}"), (backend,)
    return title, backends


def find(context: Context, title: str, version: int | Alias | None = None) -> Served:
    """The version asked for, else the newest that all its backends have.

    Raises:
        NotFoundError: there is none; the message says which models are ready.
    """
    name, backends = parse(title, context.settings.backends)
    version = context.resolve(name, backends, version)
    manifest = context.store.manifest(name, backends[0], version)
    shape = tuple(manifest["network"]["input_shape"])
    return Served(title, name, backends, version, shape, len(manifest["classes"]))


def versions(context: Context, title: str) -> list[int]:
    """Every version that all its backends have, oldest first."""
    name, backends = parse(title, context.settings.backends)
    return sorted(set.intersection(*(set(context.store.versions(name, backend)) for backend in backends)))


def titles(context: Context) -> Iterator[str]:
    """Every model that can be asked, by its name and by its backends'."""
    for name in context.store.names():
        for title in (name, *(f"{name}-{backend}" for backend in context.settings.backends)):
            if versions(context, title):
                yield title


def whole(outcomes: dict[str, Outcome], images: int, timed: Timed) -> dict[str, NDArray[np.float32]]:
    """Each backend's probabilities, float32 [N, classes], of so many pictures.

    Raises:
        UnavailableError: one of them gave none; half an answer is not one here.
    """
    if failures := [outcome.reason for outcome in outcomes.values() if isinstance(outcome, Failure)]:
        raise UnavailableError("; ".join(failures))
    answers = cast(dict[str, Answer], outcomes)
    timed.asked(images, max(answer.compute_ms for answer in answers.values()))
    return {backend: answer.probabilities for backend, answer in answers.items()}
