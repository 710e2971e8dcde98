"""/v1/models/{name}/aliases/stable: the version that clients get when they ask for `stable`.

A release moves the alias to another version, and a rollback moves it back. Clients need no change.
"""

from dataclasses import dataclass
from functools import partial
from typing import cast

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from redis.client import Pipeline

from services.gateway.context import Context
from services.gateway.routes.models import ModelPath
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader
from services.gateway.schemas.catalog import Aliased, AliasRequest
from services.gateway.scopes import ADMIN_ONLY
from shared.errors import InvalidRequestError, NotFoundError
from shared.jobs.job_queue import ONCE_S, IdempotencyKey
from shared.models.registry import ModelRegistry
from shared.models.versions import Alias

TAG = Tag(name="models")
ALIAS = "alias"  # takes the place of a kind of job in the Redis key of an Idempotency-Key


class AliasPath(ModelPath):
    """The path of an alias of a model."""

    alias: Alias


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("aliases", __name__, abp_tags=[TAG])

    @api.put("/v1/models/<name>/aliases/<alias>", security=ADMIN_ONLY, responses={200: Aliased})
    def move(path: AliasPath, header: IdempotencyHeader, body: AliasRequest) -> Response:
        """Make `stable` mean a version, for every backend that has it. A version that is being deleted is refused.

        With `expected`, the alias moves only from that version, else the answer is 409. A repeated Idempotency-Key
        moves nothing, even if the alias was moved again meanwhile.
        """
        find = partial(find_backends_with, context.registry, path.name, body.version)
        once = OnceMark(header.key_of(path, body))
        expected = (body.expected, body.version) if "expected" in body.model_fields_set else None
        context.aliases.move(
            path.name,
            path.alias,
            body.version,
            find,
            expected=expected,
            is_done=once.is_set,
            also_write=once.set,
        )
        return json_response(Aliased(name=path.name, alias=path.alias, version=body.version, backends=find()))

    return api


@dataclass(frozen=True)
class OnceMark:
    """Remembers for a day that a request with an Idempotency-Key moved an alias.

    Attributes:
        key: the client's key; None if it sent none: then nothing is remembered.
    """

    key: IdempotencyKey | None

    def is_set(self, transaction: Pipeline) -> bool:
        """Return whether the request moved the alias before. The transaction fails if that changes.

        Raises:
            InvalidRequestError: the key came with another request.
        """
        if self.key is None:
            return False
        transaction.watch(self.key.redis_key(ALIAS))  # type: ignore[no-untyped-call]
        digest = cast(bytes | None, transaction.get(self.key.redis_key(ALIAS)))
        if digest is not None and digest.decode() != self.key.digest:
            raise InvalidRequestError("this Idempotency-Key came with another request before: take a new key")
        return digest is not None

    def set(self, transaction: Pipeline) -> None:
        """Add to the transaction that moves the alias: the request has moved it."""
        if self.key is not None:
            transaction.set(self.key.redis_key(ALIAS), self.key.digest, ex=ONCE_S)


def find_backends_with(registry: ModelRegistry, name: str, version: int) -> list[str]:
    """Return the backends that have a version of a model.

    Raises:
        NotFoundError: none has it.
    """
    backends = [backend for backend in registry.backends(name) if version in registry.versions(name, backend)]
    if not backends:
        raise NotFoundError(f"no backend has a version {version} of a model {name[:80]!r}")
    return backends
