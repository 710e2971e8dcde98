"""/v1/models: the published models, their weights, and their deletion."""

from typing import Annotated

from flask import Response, make_response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from services.gateway.context import Context
from services.gateway.prediction.model_address import parse_title
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.path_values import BackendName, ModelTitle
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import WorkPath, accepted, file_of
from services.gateway.routes.tfserving import version_status
from services.gateway.schemas.catalog import Deletion, Deletions, ModelDetail, ModelList, ModelVersions
from services.gateway.scopes import ADMIN_ONLY, READ, READ_OR_PREDICT
from shared.errors import ConflictError, NotFoundError
from shared.jobs.kinds import DELETION
from shared.jobs.payloads import DeletionJob
from shared.jobs.results import RunState
from shared.jobs.run_state import OPEN, QUEUED
from shared.models.missing_models import list_ready

VersionNumber = Annotated[int, Field(ge=1, lt=2**63)]
TAG = Tag(name="models", description="Published models: manifests, weights, deletion")


class ModelPath(BaseModel):
    """The path of a model."""

    name: ModelTitle


class ModelQuery(BaseModel):
    """The query of a model's description. Clients of other protocols may send other parameters."""

    version: Annotated[
        VersionNumber | None, Field(description="whose manifests to return; by default each backend's newest")
    ] = None


class VersionPath(ModelPath):
    """The path of one version of a backend's model."""

    backend: BackendName
    version: VersionNumber


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("models", __name__, abp_tags=[TAG])
    jobs, registry = context.jobs, context.registry

    @api.get("/v1/models", security=READ, responses={200: ModelList})
    def listing() -> Response:
        """List every model with the versions of each backend."""
        models = [ModelVersions(name=name, versions=versions) for name, versions in registry.list_all().items()]
        return json_response(ModelList(models=models))

    @api.get("/v1/models/<title:name>", security=READ_OR_PREDICT, responses={200: ModelDetail})
    def read(path: ModelPath, query: ModelQuery) -> Response:
        """Return a model's versions, and the manifest of each backend's newest version, or of the version asked for.

        The name `<name>-<backend>` returns those of one backend. `model_version_status` is for clients of TensorFlow
        Serving, and `ready` is for those of KServe.
        """
        name, backends = parse_title(path.name, context.settings.backends)
        versions = registry.versions_by_backend(name)
        if name != path.name:
            versions = {backend: had for backend, had in versions.items() if backend in backends}
        if not versions:
            raise NotFoundError(f"there is no model {path.name[:80]!r}; ready: {list_ready(registry.names())}")
        described = {backend: query.version or had[-1] for backend, had in versions.items()}
        described = {backend: version for backend, version in described.items() if version in versions[backend]}
        if not described:
            raise NotFoundError(f"no backend has version {query.version} of the model {path.name[:80]!r}")
        are_up = context.dispatcher.ask_backends_up()  # the predictors answer while files are read
        manifests = {
            backend: registry.manifest(name, backend, version).to_json() for backend, version in described.items()
        }
        detail = ModelDetail(
            name=path.name,
            versions=versions,
            ready=all(are_up.result().get(backend, False) for backend in versions),
            aliases=context.aliases.of(name),
            manifests=manifests,
            model_version_status=version_status(context, path.name),
        )
        return json_response(detail)

    @api.get(
        "/v1/models/<name>/<backend>/<version>/weights.safetensors",
        security=READ,
        responses=file_of("application/octet-stream", "a safetensors file"),
    )
    def weights(path: VersionPath) -> Response:
        """Return a model's weights as a safetensors file, verified, in the layout that all backends share."""
        response = make_response(registry.read_weights_file(path.name, path.backend, path.version))
        response.mimetype = "application/octet-stream"
        response.add_etag()
        response.headers["Cache-Control"] = "private, no-cache"  # a client asks each time whether its copy is current
        file = f"{path.name}-{path.backend}-{path.version}.safetensors"
        response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
        response.make_conditional(request)
        return response

    @api.delete("/v1/models/<name>/<backend:backend>/<int:version>", security=ADMIN_ONLY, responses={202: Deletion})
    def delete(path: VersionPath) -> Response:
        """Delete one version of a backend's model. The backend's trainer performs the deletion."""
        if path.version not in registry.versions(path.name, path.backend):
            raise NotFoundError(f"{path.backend[:80]} has no version {path.version} of a model {path.name[:80]!r}")
        if path.backend not in context.settings.backends:
            raise ConflictError(f"no trainer of {path.backend} runs here (TANDEM_BACKENDS) that could delete the model")
        context.aliases.remove_old_marks(path.name)
        job = DeletionJob(name=path.name, model_version=path.version)
        identity = jobs.submit(DELETION, job, {path.backend: RunState(status=QUEUED)})
        return accepted(f"/v1/deletions/{identity}", Deletion.of(jobs.read(DELETION, identity)))

    @api.get("/v1/deletions", security=READ, responses={200: Deletions})
    def list_deletions(query: ListingQuery) -> Response:
        """List the deletions, newest first."""
        page = jobs.list_page(DELETION, query.to_page())
        return json_response(Deletions(deletions=[Deletion.of(record) for record in page.records], next=page.next))

    @api.get("/v1/deletions/<id>", security=READ, responses={200: Deletion})
    def read_deletion(path: WorkPath) -> Response:
        """Return the state of a deletion."""
        deletion = Deletion.of(jobs.read(DELETION, path.id))
        if deletion.status not in OPEN:
            context.aliases.remove_old_marks(deletion.model.name)
        return json_response(deletion)

    return api
