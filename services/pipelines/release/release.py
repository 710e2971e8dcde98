"""Carry a release out: train if that was asked for, let each gate look at the version, then move `stable`.

Everything that is finished is in the run's fields in Redis. If the process dies, the next execution skips the gates
that have passed. What a release submits carries Idempotency-Keys, so it is not submitted twice.
"""

from collections.abc import Callable
from typing import Any

import structlog
from rq.timeouts import JobTimeoutException

from services.pipelines.gateway_client import GatewayClient, RefusedError
from services.pipelines.release.gates import GATES
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import Subject, read_version
from services.pipelines.submitted_jobs import SubmittedJobs, describe_errors
from shared.errors import ConflictError, SupersededError, TandemError, UnavailableError
from shared.jobs.releases import GateResult, GateStatus, ReleaseJob, ReleaseRun, StableMove, first_results
from shared.jobs.run_state import CANCELLED, FAILED, SUCCEEDED, Run

ALIAS_MOVED = 409

log = structlog.get_logger()


def release(client: GatewayClient, run: Run, job: ReleaseJob) -> None:
    """Perform a release's job.

    Args:
        client: the client of the gateway.
        run: the release's run.
        job: what was asked for.

    Raises:
        ConflictError: `stable` was moved during the release, or the version cannot replace it.
        JobTimeoutException: it takes too long.
        SupersededError: another execution has taken the run over, or it was cancelled.
        TandemError: the training failed, or the version is gone.
        UnavailableError: the gateway did not answer for a long time.
    """
    jobs = SubmittedJobs(client, run, f"release-{job.id}")
    try:
        _perform(client, run, job, jobs)
    except SupersededError:
        if run.read().get("status") == CANCELLED:  # else another process goes on with the job that is waited for
            jobs.cancel_followed()
        raise
    except JobTimeoutException:
        jobs.cancel_followed()
        raise


def _perform(client: GatewayClient, run: Run, job: ReleaseJob, jobs: SubmittedJobs) -> None:
    """Do what is left of the release; raises as `release`."""
    state = ReleaseRun.model_validate(run.read())
    stable = state.stable or StableMove(before=_read_stable(client, job.name))
    run.report(stable=stable)
    version = state.version or job.version or _train(run, job, jobs)
    if version == stable.before:
        raise ConflictError(f"version {version} of {job.name} is stable already: name another version")
    subject = _describe_subject(client, job, version, stable.before, jobs)
    run.report(version=version, dataset=subject.candidate.data.dataset)
    if _pass_gates(run, job, subject, state.gates or first_results(job.request.gates)):
        # During the gates, a backend may have lost the version, or may have got it without being checked.
        _describe_subject(client, job, version, stable.before, jobs)
        run.claim_publication()  # from here on it cannot be cancelled: `stable` must not move without a record of it
        _move_stable(client, job, version, stable.before)
        run.finish(SUCCEEDED, stable=StableMove(before=stable.before, after=version))


def _read_stable(client: GatewayClient, name: str) -> int | None:
    """Return the version that is `stable` now. A model that does not exist yet has none."""
    try:
        found: int | None = client.get(f"/v1/models/{name}")["aliases"].get("stable")
    except RefusedError as error:
        if error.status != 404:
            raise
        return None
    return found


def _train(run: Run, job: ReleaseJob, jobs: SubmittedJobs) -> int:
    """Submit the training and wait for it; return the version that it publishes.

    Raises:
        TandemError: it was refused, failed or was cancelled.
    """
    assert job.request.train is not None, "a release without a version has a training"
    request = job.request.train.model_dump(mode="json", exclude_unset=True)
    training: Any = None
    for training in jobs.follow("/v1/trainings", request, "train"):
        run.report(training=training["id"])
    if training["status"] != SUCCEEDED:
        raise TandemError(f"the training has {training['status']} ({describe_errors(training)})")
    version: int = training["version"]
    return version


def _describe_subject(
    client: GatewayClient, job: ReleaseJob, version: int, before: int | None, jobs: SubmittedJobs
) -> Subject:
    """Return the candidate and `stable`.

    Raises:
        ConflictError: clients of `stable` would lose a backend, or another backend has the version, too.
        NotFoundError, RefusedError: a version is gone.
    """
    candidate = read_version(client, job.name, version, job.asked)
    stable = None if before is None else read_version(client, job.name, before)
    if stable and (lost := [backend for backend in stable.manifests if backend not in candidate.manifests]):
        raise ConflictError(
            f"{', '.join(lost)} has the stable version {before} and not version {version}: "
            "train or transplant it there first"
        )
    return Subject(client, jobs, candidate, stable)


def _pass_gates(run: Run, job: ReleaseJob, subject: Subject, results: list[GateResult]) -> bool:
    """Let each gate look that has not passed yet. Return False, and end the run, if one fails."""
    for place, (name, check) in enumerate(GATES):
        if results[place].status in ("passed", "skipped"):
            continue
        results[place] = GateResult(gate=name, status="running")
        run.report(gates=results)
        log.info("gate", gate=name)
        outcome = _look(check, subject, getattr(job.request.gates, name))
        status: GateStatus = "failed" if outcome.problems else "passed"
        results[place] = GateResult(
            gate=name,
            status=status,
            summary=outcome.summary,
            figures=outcome.figures,
            pictures=outcome.pictures,
        )
        if outcome.problems:
            run.finish(FAILED, gates=results, error=f"gate {name}: {outcome.summary}")
            return False
        run.report(gates=results)
    return True


def _look(check: Callable[[Subject, Any], GateOutcome], subject: Subject, limits: object) -> GateOutcome:
    """Return a gate's outcome. What it cannot check, it does not let pass."""
    try:
        return check(subject, limits)
    except (SupersededError, UnavailableError):
        raise
    except TandemError as error:
        return GateOutcome(problems=[str(error)])


def _move_stable(client: GatewayClient, job: ReleaseJob, version: int, before: int | None) -> None:
    """Move `stable` to the version, if it is still where it was. An execution that did so before changes nothing.

    Raises:
        ConflictError: somebody else moved it.
        RefusedError: the version was deleted.
    """
    try:
        move = {"version": version, "expected": before}
        client.put(f"/v1/models/{job.name}/aliases/stable", move, f"release-{job.id}-stable")
    except RefusedError as error:
        if error.status != ALIAS_MOVED:
            raise
        raise ConflictError(f"all gates passed, but stable stays: {error}. Release again") from None
