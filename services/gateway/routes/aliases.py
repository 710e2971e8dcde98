"""/v1/models/{name}/aliases/stable: the version that clients get who ask for `stable`.

Moving it is a release and moving it back a rollback; no client changes anything.
"""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.models import ModelPath
from services.gateway.schemas.catalog import Aliased, AliasRequest
from shared.errors import NotFoundError
from shared.models.versions import Alias

TAG = Tag(name="models")


class AliasPath(ModelPath):
    alias: Alias


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("aliases", __name__, abp_tags=[TAG])

    @api.put("/v1/models/<name>/aliases/<alias>", responses={200: Aliased})
    def move(path: AliasPath, body: AliasRequest) -> dict[str, Any]:
        """Let `stable` mean a version, for every backend that has it."""
        registry = context.registry
        backends = [name for name in registry.backends(path.name) if body.version in registry.versions(path.name, name)]
        if not backends:
            raise NotFoundError(f"no backend has a version {body.version} of a model {path.name[:80]!r}")
        context.aliases.move(path.name, path.alias, body.version)
        return {"name": path.name, "alias": path.alias, "version": body.version, "backends": backends}

    return api
