"""/v1/models/{name}/aliases/stable: the version that clients get when they ask for `stable`.

A release moves the alias to another version, and a rollback moves it back. Clients need no change.
"""

from functools import partial

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.models import ModelPath
from services.gateway.routes.responses import json_response
from services.gateway.schemas.catalog import Aliased, AliasRequest
from services.gateway.scopes import ADMIN_ONLY
from shared.errors import NotFoundError
from shared.models.registry import ModelRegistry
from shared.models.versions import Alias

TAG = Tag(name="models")


class AliasPath(ModelPath):
    """The path of an alias of a model."""

    alias: Alias


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("aliases", __name__, abp_tags=[TAG])

    @api.put("/v1/models/<name>/aliases/<alias>", security=ADMIN_ONLY, responses={200: Aliased})
    def move(path: AliasPath, body: AliasRequest) -> Response:
        """Make `stable` mean a version, for every backend that has it. A version that is being deleted is refused."""
        find = partial(_backends_of, context.registry, path.name, body.version)
        context.aliases.move(path.name, path.alias, body.version, find)
        return json_response(Aliased(name=path.name, alias=path.alias, version=body.version, backends=find()))

    return api


def _backends_of(registry: ModelRegistry, name: str, version: int) -> list[str]:
    """Return the backends that have a version of a model.

    Raises:
        NotFoundError: none has it.
    """
    backends = [backend for backend in registry.backends(name) if version in registry.versions(name, backend)]
    if not backends:
        raise NotFoundError(f"no backend has a version {version} of a model {name[:80]!r}")
    return backends
