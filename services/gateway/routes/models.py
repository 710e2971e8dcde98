"""/v1/models: what has been published, its weights, and its end."""

from typing import Annotated, Any

from flask import Response, make_response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from services.gateway.context import Context
from services.gateway.prediction.model_address import parse_title
from services.gateway.routes.submissions import WorkPath, accepted, file_of
from services.gateway.routes.tfserving import version_status
from services.gateway.schemas.catalog import Deletion, ModelDetail, ModelList
from shared.errors import ConflictError, NotFoundError

TAG = Tag(name="models", description="Published models: manifests, weights, deletion")


class ModelPath(BaseModel):
    name: Annotated[str, Field(max_length=255)]


class VersionPath(ModelPath):
    backend: Annotated[str, Field(max_length=255)]
    version: Annotated[int, Field(ge=1, lt=2**63)]


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("models", __name__, abp_tags=[TAG])
    jobs, registry = context.jobs, context.registry

    @api.get("/v1/models", responses={200: ModelList})
    def listing() -> dict[str, Any]:
        """Every model, with the versions each backend has."""
        return {"models": [{"name": name, "versions": _versions(context, name)} for name in registry.names()]}

    @api.get("/v1/models/<title:name>", responses={200: ModelDetail})
    def read(path: ModelPath) -> dict[str, Any]:
        """A model's versions, and the manifest of each backend's newest; of one backend as `<name>-<backend>`.

        `model_version_status` is what TensorFlow Serving's clients look for.
        """
        name, backends = parse_title(path.name, context.settings.backends)
        versions = _versions(context, name)
        if name != path.name:
            versions = {backend: had for backend, had in versions.items() if backend in backends}
        if not versions:
            ready = ", ".join(registry.names()) or "none yet"
            raise NotFoundError(f"there is no model {path.name[:80]!r}; ready: {ready}")
        manifests = {backend: registry.manifest(name, backend, had[-1]).to_json() for backend, had in versions.items()}
        status = [entry.model_dump() for entry in version_status(context, path.name)]
        return {
            "name": path.name,
            "versions": versions,
            "aliases": context.aliases.of(name),
            "manifests": manifests,
            "model_version_status": status,
        }

    @api.get(
        "/v1/models/<name>/<backend>/<version>/weights.safetensors",
        responses=file_of("application/octet-stream", "a safetensors file"),
    )
    def weights(path: VersionPath) -> Response:
        """A model's weights, verified, in the layout that every backend shares."""
        response = make_response(registry.read_weights_file(path.name, path.backend, path.version))
        response.mimetype = "application/octet-stream"
        response.add_etag()
        file = f"{path.name}-{path.backend}-{path.version}.safetensors"
        response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
        response.make_conditional(request)
        return response

    @api.delete("/v1/models/<name>/<backend:backend>/<int:version>", responses={202: Deletion})
    def delete(path: VersionPath) -> Response:
        """Delete one backend's version: its trainer does so when it comes to it."""
        if path.version not in registry.versions(path.name, path.backend):
            raise NotFoundError(f"{path.backend[:80]} has no version {path.version} of a model {path.name[:80]!r}")
        if path.backend not in context.settings.backends:
            raise ConflictError(f"no trainer of {path.backend} runs here (TANDEM_BACKENDS): only it could delete")
        for alias, version in context.aliases.of(path.name).items():
            if version == path.version:
                raise ConflictError(f"version {version} of {path.name} is {alias}: move the alias first")
        record = {"name": path.name, "model_version": path.version}
        identity = jobs.submit("deletion", record, {path.backend: {}})
        return accepted(f"/v1/deletions/{identity}", _deletion(jobs.read("deletion", identity)))

    @api.get("/v1/deletions/<id>", responses={200: Deletion})
    def read_deletion(path: WorkPath) -> dict[str, Any]:
        """How a deletion stands."""
        return _deletion(jobs.read("deletion", path.id))

    return api


def _versions(context: Context, name: str) -> dict[str, list[int]]:
    return {backend: context.registry.versions(name, backend) for backend in context.registry.backends(name)}


def _deletion(record: dict[str, Any]) -> dict[str, Any]:
    ((backend, run),) = record["runs"].items()
    model = {"name": record["name"], "backend": backend, "version": record["model_version"]}
    return {**{key: record[key] for key in ("id", "status", "created_at")}, "model": model, "error": run["error"]}
