"""Carries the cases out on a stack: make the candidate, release it, and put `stable` back."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.defects.cases import DIGITS, Case
from benchmarks.defects.data import Data, pack, unchanged
from benchmarks.defects.models import Published
from services.cli.client import Client, ClientError
from shared.models.registry import ModelRegistry

STABLE_SEED = 1000
TRAINING: Mapping[str, Any] = {"epochs": 20, "batch_size": 32, "optimizer": {"name": "adam", "learning_rate": 0.002}}
HIDDEN = 128
AHEAD = 4  # so many candidates are trained before their turn


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        case: the case.
        is_released: whether `stable` moved to the candidate.
        gate: the gate that failed; "" if none did.
        error: why the release failed.
        seconds: from the request to the end.
    """

    case: Case
    is_released: bool
    gate: str
    error: str
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether a good candidate was released, or a defect was not."""
        return self.is_released == self.case.is_good


class Campaign:
    """Releases candidates on a running stack, one after the other.

    Args:
        client: of the stack's gateway.
        registry: the stack's model volume.
        bases: the data, by name of the base.
        gates: of every release, as the API takes them.
    """

    def __init__(
        self, client: Client, registry: ModelRegistry, bases: Mapping[str, Data], gates: Mapping[str, Any]
    ) -> None:
        self._client, self._registry, self._bases, self._gates = client, registry, bases, gates
        self._stable: dict[str, int] = {}

    def release_bases(self) -> None:
        """Upload the data of each base, train a version on it, and release that.

        Raises:
            ClientError: a gate fails.
        """
        for base, data in self._bases.items():
            self._upload(f"base-{base}", data)
            train = _training_of(Case("", base, STABLE_SEED), f"base-{base}")
            release = self._client.post("/v1/releases", {"train": train, "gates": self._gates})
            self._stable[base] = self._client.follow(f"/v1/releases/{release['id']}")["version"]

    def carry_out(self, cases: Iterable[Case], show: Callable[[Verdict], None]) -> list[Verdict]:
        """Carry the cases out: first those that need the data of the stable versions, then the others.

        Args:
            cases: in any order.
            show: called with each verdict.
        """
        found: list[Verdict] = []
        chosen = list(cases)
        for is_base_gone in (False, True):
            part = [case for case in chosen if case.is_base_gone == is_base_gone]
            if is_base_gone and part:
                for base in self._bases:
                    self._client.delete(f"/v1/datasets/base-{base}")
            trained = [case for case in part if case.plant is None]
            # While a load test runs, nothing is trained: good candidates come last, and each is trained in its turn.
            for case, version in self._train_ahead(case for case in trained if not case.is_good):
                found.append(self._release(case, version))
                show(found[-1])
            for case in (case for case in part if case.plant or case.is_good):
                version = self._plant(case) if case.plant else self._wait(self._train(case))
                found.append(self._release(case, version))
                show(found[-1])
        return found

    def _train_ahead(self, cases: Iterable[Case]) -> Iterator[tuple[Case, int | None]]:
        waiting: list[tuple[Case, str]] = []
        for case in cases:
            waiting.append((case, self._train(case)))
            if len(waiting) > AHEAD:
                first, path = waiting.pop(0)
                yield first, self._wait(path)
        for case, path in waiting:
            yield case, self._wait(path)

    def _train(self, case: Case) -> str:
        """Upload a case's data, submit its training, and return the path of it."""
        dataset = f"base-{case.base}"
        if case.change is not unchanged:
            dataset = _dataset_of(case)
            self._upload(dataset, case.change(self._bases[case.base], np.random.default_rng(case.seed)))
        return f"/v1/trainings/{self._client.post('/v1/trainings', _training_of(case, dataset))['id']}"

    def _wait(self, path: str) -> int | None:
        """Return the version that a training publishes, or None if it fails."""
        try:
            version: int = self._client.follow(path)["version"]
        except ClientError:
            return None
        return version

    def _plant(self, case: Case) -> int:
        """Publish a changed copy of the stable version, and return its number."""
        assert case.plant is not None, "called for cases with a plant"
        name, source = _model_of(case.base), self._stable[case.base]
        backends = tuple(self._registry.backends(name))
        version = max(max(self._registry.versions(name, backend)) for backend in backends) + 1
        case.plant(Published(self._registry, name, source, version, backends))
        time.sleep(0.2)  # the gateway's processes may know the old list of versions for 0.1 s
        return version

    def _release(self, case: Case, version: int | None) -> Verdict:
        began = time.monotonic()
        if version is None:
            return Verdict(case, False, "training", "the training failed", 0)
        gates = {**self._gates, **case.gates}
        request = {"model": _model_of(case.base), "version": version, "gates": gates}
        try:
            path = f"/v1/releases/{self._client.post('/v1/releases', request)['id']}"
        except ClientError as error:
            return Verdict(case, False, "request", str(error), time.monotonic() - began)
        *_, release = self._client.watch(path)
        seconds = time.monotonic() - began
        if release["status"] == "succeeded":
            self._client.post(f"{path}/revert", {})
        if case.change is not unchanged:
            self._client.delete(f"/v1/datasets/{_dataset_of(case)}")
        failed = [gate["gate"] for gate in release["gates"] if gate["status"] == "failed"]
        return Verdict(case, release["status"] == "succeeded", "".join(failed), release["error"] or "", seconds)

    def _upload(self, name: str, data: Data) -> None:
        content = pack(data)
        self._client.upload(f"/v1/datasets/{name}", io.BytesIO(content), len(content), "application/zip")


def _training_of(case: Case, dataset: str) -> dict[str, Any]:
    """Return the request of a case's training."""
    training = {**TRAINING, "network": {"hidden": HIDDEN}, **case.training}
    if isinstance(training["network"], Mapping):
        shape = [8, 8, 1] if case.base == DIGITS else [28, 28, 1]
        hidden = {"kind": "dense", "units": training["network"]["hidden"], "activation": "relu"}
        layers = [{"kind": "flatten"}, hidden, {"kind": "dense", "units": 10}]
        training["network"] = {"input_shape": shape, "layers": layers}
    return {**training, "dataset": dataset, "seed": case.seed, "name": _model_of(case.base)}


def _model_of(base: str) -> str:
    return f"{base}-model"


def _dataset_of(case: Case) -> str:
    text = "".join(letter if letter.isalnum() else "-" for letter in case.kind.lower())
    return f"{text[:40]}-{case.base}-{case.seed}".strip("-")
