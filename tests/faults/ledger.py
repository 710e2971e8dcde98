"""The ledger of acknowledged requests: every submission that was answered 202, and whether Tandem kept its word.

Settling waits until every acknowledged job has ended, and compares what was published with what the jobs say.
"""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.errors import CorruptModelError, NotFoundError
from shared.models.registry import ModelRegistry
from tests.faults.answers import Answer, ask
from tests.faults.target import Target
from tests.faults.waiting import FaultFailureError, wait

FINAL = ("succeeded", "failed", "cancelled")
SETTLE_S = 120
EXPLAINED_ERROR = re.compile(r"died each time")  # a job that loses its worker again and again fails, as it should


@dataclass
class AcknowledgedJob:
    """A submission that was answered 202.

    Attributes:
        kind: `trainings`, `evaluations` or `deletions`.
        path: where its state is read.
        body: the newest answer.
        may_fail: whether the fault itself makes it fail, as a poison job or a full disk does.
    """

    kind: str
    path: str
    body: Any
    may_fail: bool = False

    @property
    def status(self) -> str:
        """Return the job's status in the newest answer."""
        return str(self.body["status"])


@dataclass(frozen=True)
class Settlement:
    """What a settled ledger shows.

    Attributes:
        acknowledged: how many jobs were acknowledged.
        lost: how many of them did not reach a final state.
        failed: how many of them failed or were cancelled.
        faults: one sentence for each broken promise.
    """

    acknowledged: int
    lost: int
    failed: int
    faults: list[str]


@dataclass
class Ledger:
    """Acknowledged jobs, and the answers to everything that was asked meanwhile. Several threads write to it."""

    target: Target
    jobs: list[AcknowledgedJob] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    predictions: int = 0
    refused_predictions: int = 0
    refused: int = 0
    connection_errors: int = 0
    refused_connections: int = 0
    unknown_names: set[str] = field(default_factory=set)
    deleted: set[tuple[str, str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[tuple[str, str, int], int] = {}

    def record(self, answer: Answer, *, is_prediction: bool = False) -> None:
        """Count an answer, and note what no answer may be: a bare error, or none at all within the time limit."""
        with self._lock:
            if is_prediction:
                self.predictions += 1
                self.refused_predictions += not answer.is_ok
            if answer.error:
                self.connection_errors += 1
                self.refused_connections += answer.error == "connection refused"
                if "no response" in answer.error:
                    self.faults.append(str(answer))
            elif answer.is_bare:
                self.faults.append(f"a bare error: {answer}")
            elif not answer.is_ok:
                self.refused += 1

    def record_submission(self, kind: str, answer: Answer, *, may_fail: bool = False) -> AcknowledgedJob | None:
        """Record the answer to a submission. Return the job if it was acknowledged, else None."""
        self.record(answer)
        if answer.status != 202:
            return None
        body = answer.json()
        job = AcknowledgedJob(kind, answer.headers.get("Location") or f"/v1/{kind}/{body['id']}", body, may_fail)
        with self._lock:
            known = next((found for found in self.jobs if found.path == job.path), None)
            if known is None:
                self.jobs.append(job)
        return known or job

    def count_open(self) -> int:
        """Return how many jobs had not ended when they were last read."""
        return sum(job.status not in FINAL for job in self.jobs)

    def refresh(self) -> int:
        """Read the state of the jobs that have not ended. Return how many still have not."""
        for job in list(self.jobs):
            if job.status not in FINAL:
                answer = ask(self.target.url, "GET", job.path)
                if answer.status == 200:
                    job.body = answer.json()
                elif answer.status == 404:
                    self._add_fault(f"an acknowledged job is unknown: {job.path}")
        return self.count_open()

    def watch_publications(self) -> None:
        """Note which folder each version of the ledger's models has: a second publication has another folder."""
        registry = self.target.registry
        for name in {job.body["name"] for job in self.jobs if job.kind == "trainings"}:
            for backend in self.target.settings.backends:
                for version in registry.versions(name, backend):
                    try:
                        inode = registry.path(name, backend, version).stat().st_ino
                    except OSError:
                        continue  # it was deleted at this moment
                    key = (name, backend, version)
                    if self._places.setdefault(key, inode) != inode:
                        self._add_fault(f"{name} {backend} {version} was published twice")
                        self._places[key] = inode

    def _add_fault(self, fault: str) -> None:
        with self._lock:
            if fault not in self.faults:
                self.faults.append(fault)

    def settle(self, timeout_s: float = SETTLE_S) -> Settlement:
        """Wait until every acknowledged job has ended, and compare it with what is published.

        Args:
            timeout_s: after so many seconds a job that has not ended is lost.
        """
        with contextlib.suppress(FaultFailureError):  # what has not ended is counted below
            wait(lambda: self.refresh() == 0, message="jobs have not ended", timeout_s=timeout_s, every_s=0.25)
        self.watch_publications()
        lost = [job for job in self.jobs if job.status not in FINAL]
        faults = [*self.faults, *(f"lost: {job.path} is still {job.status}" for job in lost)]
        for job in self.jobs:
            if job.kind == "trainings" and job.status in FINAL:
                faults += self._check_training(job)
            if job.status == "failed" and not job.may_fail:
                faults += [f"{job.path} failed: {error}" for error in errors_of(job.body) if not explains(error)]
        faults += self._check_versions()
        failed = sum(job.status in ("failed", "cancelled") for job in self.jobs)
        return Settlement(len(self.jobs), len(lost), failed, list(dict.fromkeys(faults)))

    def _check_training(self, job: AcknowledgedJob) -> Iterator[str]:
        """Yield what is wrong with the models that a training published."""
        name, version = job.body["name"], job.body["version"]
        for backend, run in job.body["runs"].items():
            label = f"{name} {backend} {version}"
            if (name, backend, version) in self.deleted:
                continue
            is_published = version in self.target.registry.versions(name, backend)
            if run["status"] == "succeeded" and not is_published:
                yield f"{label} succeeded and is not published"
            if run["status"] != "succeeded" and is_published:
                yield f"{label} is {run['status']} and is published"
            if run["status"] == "succeeded" and is_published:
                yield from _check_model(self.target.registry, job, backend)

    def _check_versions(self) -> Iterator[str]:
        """Yield the published versions that no training was acknowledged for."""
        acknowledged: dict[str, set[int]] = {}
        for job in self.jobs:
            if job.kind == "trainings":
                acknowledged.setdefault(job.body["name"], set()).add(job.body["version"])
        for name, versions in acknowledged.items():
            if name in self.unknown_names:
                continue  # an answer was lost, so that a version may exist that nobody was told of
            for backend in self.target.settings.backends:
                for version in set(self.target.registry.versions(name, backend)) - versions:
                    yield f"{name} {backend} {version} was published for no acknowledged training"


def verify_volume(registry: ModelRegistry) -> list[str]:
    """Return a sentence for each published model that does not match its manifest."""
    faults = []
    for name in registry.names():
        for backend in registry.backends(name):
            for version in registry.versions(name, backend):
                try:
                    registry.verify(name, backend, version)
                except NotFoundError:
                    continue  # it was deleted at this moment
                except CorruptModelError as error:
                    faults.append(str(error))
    return faults


def errors_of(body: Any) -> list[str]:
    """Return the errors of a job's runs."""
    runs = body.get("runs") or body.get("results") or {}
    return [run["error"] for run in runs.values() if isinstance(run, dict) and run.get("error")] or [
        body.get("error") or "no reason was given"
    ]


def explains(error: str) -> bool:
    """Return whether an error is one that a job may end with when its worker is killed again and again."""
    return bool(EXPLAINED_ERROR.search(error))


def _check_model(registry: ModelRegistry, job: AcknowledgedJob, backend: str) -> Iterator[str]:
    """Yield how a published model differs from its training."""
    name, version, run = job.body["name"], job.body["version"], job.body["runs"][backend]
    label = f"{name} {backend} {version}"
    try:
        manifest = registry.verify(name, backend, version).manifest
    except (CorruptModelError, NotFoundError) as error:
        yield f"{label}: {error}"
        return
    if job.body["id"] not in manifest.writer:
        yield f"{label} was published by {manifest.writer}, not by {job.body['id']}"
    if run["history"] and manifest.metrics.test_accuracy != run["history"][-1]["test_accuracy"]:
        yield f"{label} has another accuracy than its training"
    if len(run["history"]) != job.body["request"]["epochs"]:
        yield f"{label} has {len(run['history'])} of {job.body['request']['epochs']} epochs"
