"""/v1/models/.../transplant: one backend's weights as another's model."""

from functools import partial
from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.models import VersionPath
from services.gateway.routes.submissions import OnceHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.schemas.catalog import Transplant, TransplantRequest
from shared.data import datasets
from shared.errors import ConflictError, InvalidRequestError, NotFoundError
from shared.jobs.run_state import OPEN

TAG = Tag(name="transplants", description="Train where you like, serve where you like")


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("transplants", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/transplants/{identity}", _transplant(jobs.read("transplant", identity)))

    @api.post("/v1/models/<name>/<backend>/<version>/transplant", responses={202: Transplant})
    def submit(path: VersionPath, header: OnceHeader, body: TransplantRequest) -> Response:
        """Publish the same weights as a model of another backend, with the proof in its manifest.

        It has the same version where that is free, else the next.
        """
        build = partial(_new_transplant, context, path, body)
        return answer(submit_once(jobs, "transplant", header, (path, body), build))

    @api.get("/v1/transplants/<id>", responses={200: Transplant})
    def read(path: WorkPath) -> dict[str, Any]:
        """How a transplant stands, and its proof."""
        return _transplant(jobs.read("transplant", path.id))

    return api


def _new_transplant(context: Context, path: VersionPath, body: TransplantRequest) -> Submission:
    """Check the request and make the submission."""
    (to,) = context.choose_backends([body.to])
    if to == path.backend:
        raise InvalidRequestError(f'the model is {to}\'s already: name another backend as "to"')
    if path.backend not in context.settings.backends:
        raise NotFoundError(f"there is no backend {path.backend[:80]!r} here (TANDEM_BACKENDS)")
    manifest = context.registry.manifest(path.name, path.backend, path.version)
    _check_no_run(context, manifest.writer, to)
    context.require_data(datasets.find(manifest.data.dataset, context.settings))
    record = {"name": path.name, "source": {"backend": path.backend, "version": path.version}}
    taken = context.registry.versions(path.name, to)
    if path.version not in taken:
        return Submission({**record, "version": path.version}, {to: {}})
    newest = max(
        v for backend in context.registry.backends(path.name) for v in context.registry.versions(path.name, backend)
    )
    return Submission(record, {to: {}}, published=newest)


def _check_no_run(context: Context, writer: str, to: str) -> None:
    """The receiving backend's own run of the same training publishes under the same version."""
    try:
        runs = context.jobs.read("training", writer)["runs"]
    except NotFoundError:
        return  # long ago, or itself a transplant
    if to in runs and runs[to]["status"] in OPEN:
        raise ConflictError(f"{to}'s own run of training {writer} has not ended: wait for it, or cancel it")


def _transplant(record: dict[str, Any]) -> dict[str, Any]:
    ((backend, run),) = record["runs"].items()
    named = {"name": record["name"]}
    return Transplant.model_validate(
        {
            **record,
            "source": {**named, **record["source"]},
            "model": {**named, "backend": backend, "version": record["version"]},
            "proof": run.get("proof"),
            "error": run["error"],
        }
    ).model_dump(mode="json")
