"""The gate `latency`: the p99 of every backend stays within a bound, under a load of requests at a given rate."""

from dataclasses import dataclass
from typing import Any

from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import Subject
from shared.jobs.loadtests import LoadResult
from shared.jobs.releases import LatencyGate
from shared.jobs.run_state import SUCCEEDED

ATTEMPTS = 3


def check_latency(subject: Subject, limits: LatencyGate) -> GateOutcome:
    """Run load tests on the candidate, and compare the p99 with the bound.

    Other work on the machine can only make answers later. So a backend passes if one of three load tests shows that
    it keeps the bound.

    Args:
        subject: the candidate.
        limits: the rate, the bound and the duration.

    Raises:
        RefusedError: the gateway refuses the load test.
    """
    outcome = GateOutcome(figures={"rate": limits.rate, "bound_ms": limits.bound_ms, "attempts": []})
    waiting = list(subject.backends)
    problems: dict[str, str] = {}
    for attempt in range(1, ATTEMPTS + 1):
        if not waiting:
            break
        found = _measure(subject, limits, waiting, attempt)
        outcome.figures["attempts"].append(found.to_json())
        problems = {backend: problem for backend in waiting if (problem := _problem_of(found, backend, limits))}
        waiting = list(problems)
    outcome.problems = list(problems.values())
    outcome.remarks.append(
        f"the p99 of every backend is within {limits.bound_ms:g} ms at {limits.rate:g} requests per second"
    )
    return outcome


@dataclass(frozen=True)
class FinishedLoadTest:
    """A load test that has ended.

    Attributes:
        identity: its id.
        status: how it ended.
        error: why it failed.
        results: by backend, at the only rate.
    """

    identity: str
    status: str
    error: str | None
    results: dict[str, LoadResult]

    def to_json(self) -> dict[str, Any]:
        """Return what a release keeps of a load test."""
        kept = {"p50_ms", "p99_ms", "achieved_qps", "queries", "errors", "meets_bound", "valid", "invalid_reason"}
        results = {backend: result.model_dump(include=kept) for backend, result in self.results.items()}
        return {"loadtest": self.identity, "status": self.status, "error": self.error, "results": results}


def _measure(subject: Subject, limits: LatencyGate, backends: list[str], attempt: int) -> FinishedLoadTest:
    """Submit a load test, and return it after its end."""
    request = {
        "model": subject.candidate.name,
        "version": subject.candidate.version,
        "backends": backends,
        "scenario": "server",
        "target_qps": [limits.rate],
        "latency_bound_ms": limits.bound_ms,
        "duration_s": limits.duration_s,
        "seed": attempt,
    }
    test = subject.jobs.finish("/v1/loadtests", request, f"latency-{attempt}")
    results = {backend: LoadResult.model_validate(rows[0]) for backend, rows in test["results"].items() if rows}
    return FinishedLoadTest(test["id"], test["status"], test["error"], results)


def _problem_of(test: FinishedLoadTest, backend: str, limits: LatencyGate) -> str | None:
    """Return why a load test does not show that a backend keeps the bound, or None if it does."""
    result = test.results.get(backend)
    if test.status != SUCCEEDED or result is None:
        return f"the load test of {backend} has {test.status}: {test.error}"
    if result.meets_bound and not result.errors:
        return None
    if result.errors:
        return f"{backend} did not answer every request at {limits.rate:g} per second: {result.errors}"
    if result.p99_ms is None:
        return f"{backend} answered no request"
    return (
        f"the p99 of {backend} is {result.p99_ms:.0f} ms at {limits.rate:g} requests per second, "
        f"and {limits.bound_ms:g} ms is allowed"
    )
