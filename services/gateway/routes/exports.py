"""/v1/exports and /v1/models/.../exports: models as files that run without Tandem."""

from functools import partial

from flask import Response, make_response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field

from services.gateway.context import Context
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.models import VersionPath
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, file_of, submit_once
from services.gateway.schemas.exports import Export, Exports, ModelExports
from services.gateway.scopes import READ, TRAIN
from shared.errors import InvalidRequestError, NotFoundError
from shared.exports.formats import FORMATS, list_formats
from shared.exports.stored_exports import open_exports
from shared.jobs.kinds import EXPORT
from shared.jobs.payloads import ExportJob, ExportRequest
from shared.jobs.results import ExportRun
from shared.jobs.run_state import QUEUED

TAG = Tag(name="exports", description="Models as files that run without Tandem, verified on the whole test split")


class ExportPath(VersionPath):
    """The path of a file that one version of a backend's model was exported to."""

    format: str = Field(max_length=63)


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("exports", __name__, abp_tags=[TAG])
    jobs, registry, store = context.jobs, context.registry, open_exports(context.settings)

    def answer(identity: str) -> Response:
        return accepted(f"/v1/exports/{identity}", Export.of(jobs.read(EXPORT, identity)))

    @api.post("/v1/models/<name>/<backend>/<version>/exports", security=TRAIN, responses={202: Export})
    def submit(path: VersionPath, header: IdempotencyHeader, body: ExportRequest) -> Response:
        """Write a model as a file in another format. The file is run without the framework, on the whole test split.

        A file that does not answer as the model does is rejected: the export fails, and `verification` has the figures.
        A file that was accepted replaces an earlier one of the same format.
        """
        return answer(submit_once(jobs, EXPORT, header, (path, body), partial(_new_export, context, path, body)))

    @api.get("/v1/models/<name>/<backend>/<version>/exports", security=READ, responses={200: ModelExports})
    def list_files(path: VersionPath) -> Response:
        """List the files that a model was exported to, and the formats that its backend has."""
        manifest = registry.manifest(path.name, path.backend, path.version)
        return json_response(ModelExports.of(path.backend, list(store.list(manifest))))

    @api.get(
        "/v1/models/<name>/<backend>/<version>/exports/<format>",
        security=READ,
        responses=file_of("application/octet-stream", "the file; its media type depends on the format"),
    )
    def download(path: ExportPath) -> Response:
        """Return the file that a model was exported to, verified."""
        manifest = registry.manifest(path.name, path.backend, path.version)
        record, data = store.read_file(manifest, path.format)
        response = make_response(data)
        response.mimetype = FORMATS[record.format].media_type
        response.set_etag(record.file.sha256)
        response.headers["Cache-Control"] = "private, no-cache"  # a client asks each time whether its copy is current
        response.headers["Content-Disposition"] = f'attachment; filename="{record.file.name}"'
        response.make_conditional(request)
        return response

    @api.get("/v1/exports", security=READ, responses={200: Exports})
    def listing(query: ListingQuery) -> Response:
        """List the exports, newest first."""
        page = jobs.list_page(EXPORT, query.to_page())
        return json_response(Exports(exports=[Export.of(record) for record in page.records], next=page.next))

    @api.get("/v1/exports/<id>", security=READ, responses={200: Export})
    def read(path: WorkPath) -> Response:
        """Return the state of an export, its file, and how the file was verified."""
        return json_response(Export.of(jobs.read(EXPORT, path.id)))

    @api.post("/v1/exports/<id>/cancel", security=TRAIN, responses={202: Export})
    def cancel(path: WorkPath) -> Response:
        """End an export at once. An earlier file of the same format stays."""
        jobs.cancel(EXPORT, path.id)
        return answer(path.id)

    return api


def _new_export(context: Context, path: VersionPath, body: ExportRequest) -> Submission[ExportJob]:
    """Check a request, and return what it submits.

    Raises:
        InvalidRequestError: the backend does not have the format.
        NotFoundError: there is no such model.
        MissingDatasetError: the model's dataset is not on this machine, so no file could be verified.
    """
    if path.backend not in context.settings.backends:
        raise NotFoundError(f"there is no backend {path.backend[:80]!r} here (TANDEM_BACKENDS)")
    manifest = context.registry.manifest(path.name, path.backend, path.version)
    formats = list_formats(path.backend)
    if body.format not in formats:
        raise InvalidRequestError(
            f"{path.backend} has no format {body.format[:80]!r}: choose one of {', '.join(formats)}"
        )
    dataset = context.find_training_data(manifest.data.dataset)
    context.require_data(dataset)
    job = ExportJob(
        name=path.name,
        version=path.version,
        format=body.format,
        dataset=dataset.name,
        data_version=dataset.version,
    )
    return Submission(job, {path.backend: ExportRun(status=QUEUED)})
