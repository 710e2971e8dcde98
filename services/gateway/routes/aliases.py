"""/v1/models/{name}/aliases/stable: the version that clients get when they ask for `stable`.

A release moves the alias to another version, and a rollback moves it back. Clients need no change.
"""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.models import ModelPath
from services.gateway.routes.responses import json_response
from services.gateway.schemas.catalog import Aliased, AliasRequest
from services.gateway.scopes import ADMIN_ONLY
from shared.errors import NotFoundError
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
        """Make `stable` mean a version, for every backend that has it."""
        registry = context.registry
        backends = [name for name in registry.backends(path.name) if body.version in registry.versions(path.name, name)]
        if not backends:
            raise NotFoundError(f"no backend has a version {body.version} of a model {path.name[:80]!r}")
        context.aliases.move(path.name, path.alias, body.version)
        return json_response(Aliased(name=path.name, alias=path.alias, version=body.version, backends=backends))

    return api
