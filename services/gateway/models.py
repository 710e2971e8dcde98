"""/v1/models: what has been published."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from services.gateway.context import Context
from shared.errors import NotFoundError
from shared.messages import ModelDetail, ModelList

TAG = Tag(name="models", description="Published models and their manifests")


class ModelPath(BaseModel):
    name: str = Field(max_length=255)


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("models", __name__, abp_tags=[TAG])

    @api.get("/v1/models", responses={200: ModelList})
    def listing() -> dict[str, Any]:
        """Every model, with the versions each backend has."""
        return {"models": [{"name": name, "versions": _versions(context, name)} for name in context.store.names()]}

    @api.get("/v1/models/<name>", responses={200: ModelDetail})
    def read(path: ModelPath) -> dict[str, Any]:
        """A model's versions, and the manifest of each backend's newest."""
        versions = _versions(context, path.name)
        if not versions:
            ready = ", ".join(context.store.names()) or "none yet"
            raise NotFoundError(f"there is no model {path.name[:80]!r}; ready: {ready}")
        manifests = {backend: context.store.manifest(path.name, backend, had[-1]) for backend, had in versions.items()}
        return {"name": path.name, "versions": versions, "manifests": manifests}

    return api


def _versions(context: Context, name: str) -> dict[str, list[int]]:
    return {backend: context.store.versions(name, backend) for backend in context.store.backends(name)}
