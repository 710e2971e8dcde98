"""/v1/models/.../transplant: publish one backend's weights as another backend's model."""

from functools import partial

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.models import VersionPath
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.schemas.catalog import Transplant, Transplants
from services.gateway.scopes import READ, TRAIN
from shared.errors import ConflictError, InvalidRequestError, NotFoundError
from shared.jobs.kinds import TRAINING, TRANSPLANT
from shared.jobs.payloads import TransplantJob, TransplantRequest, TransplantSource
from shared.jobs.results import RunState
from shared.jobs.run_state import OPEN, QUEUED

TAG = Tag(name="transplants", description="Serve a model with another backend than the one that trained it")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("transplants", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/transplants/{identity}", Transplant.of(jobs.read(TRANSPLANT, identity)))

    @api.post("/v1/models/<name>/<backend>/<version>/transplant", security=TRAIN, responses={202: Transplant})
    def submit(path: VersionPath, header: IdempotencyHeader, body: TransplantRequest) -> Response:
        """Publish the same weights as a model of another backend, with the proof in its manifest.

        The new model gets the same version if the other backend does not have it yet, else the next version.
        """
        build = partial(_new_transplant, context, path, body)
        return answer(submit_once(jobs, TRANSPLANT, header, (path, body), build))

    @api.get("/v1/transplants", security=READ, responses={200: Transplants})
    def listing(query: ListingQuery) -> Response:
        """List the transplants, newest first."""
        page = jobs.list_page(TRANSPLANT, query.to_page())
        return json_response(
            Transplants(transplants=[Transplant.of(record) for record in page.records], next=page.next)
        )

    @api.get("/v1/transplants/<id>", security=READ, responses={200: Transplant})
    def read(path: WorkPath) -> Response:
        """Return the state of a transplant, and its proof."""
        return json_response(Transplant.of(jobs.read(TRANSPLANT, path.id)))

    return api


def _new_transplant(context: Context, path: VersionPath, body: TransplantRequest) -> Submission[TransplantJob]:
    """Check a request, and return what it submits.

    Raises:
        InvalidRequestError: the receiving backend is unknown, or is the one that has the model.
        NotFoundError: there is no such model.
        ConflictError: the receiving backend still trains this version itself.
        MissingDatasetError: the model's dataset is not on this machine.
    """
    (to,) = context.choose_backends([body.to])
    if to == path.backend:
        raise InvalidRequestError(f'the model is a {to} model already: name another backend as "to"')
    if path.backend not in context.settings.backends:
        raise NotFoundError(f"there is no backend {path.backend[:80]!r} here (TANDEM_BACKENDS)")
    registry = context.registry
    manifest = registry.manifest(path.name, path.backend, path.version)
    _check_no_open_run(context, manifest.writer, to)
    context.require_data(context.find_training_data(manifest.data.dataset))
    source = TransplantSource(backend=path.backend, version=path.version)
    runs = {to: RunState(status=QUEUED)}
    if path.version not in registry.versions(path.name, to):
        return Submission(TransplantJob(name=path.name, version=path.version, source=source), runs)
    newest = max(
        version for backend in registry.backends(path.name) for version in registry.versions(path.name, backend)
    )
    return Submission(TransplantJob(name=path.name, source=source), runs, newest_published=newest)


def _check_no_open_run(context: Context, writer: str, to: str) -> None:
    """Check that the receiving backend does not publish the same version itself.

    Args:
        context: the gateway's context.
        writer: the id of the work that published the source model.
        to: the receiving backend.

    Raises:
        ConflictError: the receiving backend's run of the same training has not ended.
    """
    try:
        runs = context.jobs.read(TRAINING, writer).runs
    except NotFoundError:
        return  # the source model is itself a transplant, or the records were deleted
    if to in runs and runs[to].status in OPEN:
        raise ConflictError(f"{to}'s own run of training {writer} has not ended: wait for it, or cancel it")
