"""/v1/releases: check a version with gates, and make it `stable` if it passes all of them."""

import contextlib
from datetime import UTC, datetime
from functools import partial

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from redis.client import Pipeline

from services.gateway.context import Context
from services.gateway.routes.aliases import find_backends_with
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.routes.trainings import new_training
from services.gateway.schemas.releases import Release, Releases
from services.gateway.scopes import ADMIN_ONLY, READ
from shared.errors import ConflictError, InvalidRequestError, NotFoundError
from shared.exports.formats import list_formats
from shared.jobs.job_queue import PIPELINES
from shared.jobs.kinds import RELEASE, TRAINING
from shared.jobs.payloads import TrainingRequest
from shared.jobs.releases import LatencyGate, ReleaseJob, ReleaseRequest, ReleaseRun, first_results
from shared.jobs.run_state import QUEUED, packed
from shared.models.versions import Alias

STABLE: Alias = "stable"
TAG = Tag(name="releases", description="Check a version with gates, and make it `stable` if it passes them")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("releases", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/releases/{identity}", Release.of(jobs.read(RELEASE, identity)))

    @api.post("/v1/releases", security=ADMIN_ONLY, responses={202: Release})
    def submit(header: IdempotencyHeader, body: ReleaseRequest) -> Response:
        """Check a version with the gates, one after the other. If all pass, `stable` moves to it.

        With `train` instead of `model`, the version is trained first. If a gate fails, the release fails, and `stable`
        stays where it is.
        """
        return answer(submit_once(jobs, RELEASE, header, (body,), lambda: _new_release(context, body)))

    @api.get("/v1/releases", security=READ, responses={200: Releases})
    def listing(query: ListingQuery) -> Response:
        """List the releases, newest first."""
        page = jobs.list_page(RELEASE, query.to_page())
        return json_response(Releases(releases=[Release.of(record) for record in page.records], next=page.next))

    @api.get("/v1/releases/<id>", security=READ, responses={200: Release})
    def read(path: WorkPath) -> Response:
        """Return a release: what each gate found, and which version `stable` was before and after."""
        return json_response(Release.of(jobs.read(RELEASE, path.id)))

    @api.post("/v1/releases/<id>/cancel", security=ADMIN_ONLY, responses={202: Release})
    def cancel(path: WorkPath) -> Response:
        """End a release that has not ended, and the training that it began with. `stable` stays where it is."""
        jobs.cancel(RELEASE, path.id)
        (run,) = jobs.read(RELEASE, path.id).runs.values()
        if run.training:
            with contextlib.suppress(ConflictError, NotFoundError):
                jobs.cancel(TRAINING, run.training)
        return answer(path.id)

    @api.post("/v1/releases/<id>/revert", security=ADMIN_ONLY, responses={202: Release})
    def revert(path: WorkPath) -> Response:
        """Move `stable` back to the version that it was before a release; remove it if there was none.

        The answer is 409 if `stable` was moved again since.
        """
        _revert(context, path.id)
        return answer(path.id)

    return api


def _new_release(context: Context, body: ReleaseRequest) -> Submission[ReleaseJob]:
    """Check a request, and return what it submits.

    Raises:
        TandemError: there is no such version, or the training cannot be submitted.
        ConflictError: the version is `stable` already.
        InvalidRequestError: no backend has a requested format of exports, or a load test would take too long.
    """
    job = _plan_training(context, body, body.train) if body.train else _plan_version(context, body)
    formats = list(dict.fromkeys(name for backend in job.asked for name in list_formats(backend)))
    for name in body.gates.exports or []:
        if name not in formats:
            raise InvalidRequestError(
                f"gates.exports: {' and '.join(job.asked)} have no format {name!r}: choose from {', '.join(formats)}"
            )
    _check_load_test(body.gates.latency, len(job.asked), context.settings.job_timeout_s)
    run = ReleaseRun(status=QUEUED, version=job.version, gates=first_results(body.gates))
    return Submission(job, {PIPELINES: run})


def _check_load_test(gate: LatencyGate | None, backends: int, timeout_s: int) -> None:
    if gate and gate.duration_s * backends > timeout_s:
        raise InvalidRequestError(
            f"gates.latency.duration_s: {backends} backends for {gate.duration_s:g} s each take longer than a job may, "
            f"{timeout_s:,} s (TANDEM_JOB_TIMEOUT_S): shorten it"
        )


def _plan_training(context: Context, body: ReleaseRequest, train: TrainingRequest) -> ReleaseJob:
    """Return the job of a release that begins with a training."""
    training = new_training(context, train).job
    request = body.model_copy(update={"train": training.request})
    return ReleaseJob(request=request, name=training.name, asked=training.request.backends or [])


def _plan_version(context: Context, body: ReleaseRequest) -> ReleaseJob:
    """Return the job of a release of a version that exists.

    `stable` moves for every backend that has the version, so all of them are checked.
    """
    name = body.model or ""
    known = context.settings.backends
    backends = context.choose_backends(body.backends) if body.backends else known
    if body.backends is None and isinstance(body.version, int):
        backends = tuple(one for one in known if body.version in context.registry.versions(name, one)) or known
    version = context.addresses.resolve_version(name, backends, body.version)
    if unchecked := [one for one in find_backends_with(context.registry, name, version) if one not in backends]:
        raise InvalidRequestError(
            f"{', '.join(unchecked)} has version {version} of {name}, too, and `stable` moves for every backend: "
            "name all of them as `backends`, or none"
        )
    if context.aliases.of(name).get(STABLE) == version:
        raise ConflictError(f"version {version} of {name} is stable already: name another version")
    return ReleaseJob(request=body, name=name, version=version, asked=list(backends))


def _revert(context: Context, identity: str) -> None:
    """Undo a release: move the alias and record the time, in one transaction.

    Raises:
        NotFoundError: there is no such release, or the version before it was deleted.
        ConflictError: the release moved nothing, or `stable` has moved since.
    """
    record = context.jobs.read(RELEASE, identity)
    (run,) = record.runs.values()
    name, move = record.job.name, run.stable
    if run.reverted_at:
        raise ConflictError(f"the release was reverted at {run.reverted_at} already")
    if move is None or move.after is None:
        raise ConflictError("the release has not moved `stable`: there is nothing to revert")
    before = move.before

    def write_time(transaction: Pipeline) -> None:
        now = datetime.now(UTC).isoformat()
        transaction.hset(f"tandem:{RELEASE.name}:{identity}:{PIPELINES}", mapping=packed({"reverted_at": now}))

    check = partial(find_backends_with, context.registry, name, before) if before else lambda: None
    context.aliases.move(name, STABLE, before, check, expected=(move.after,), also_write=write_time)
