"""/v1/tokens: the access tokens. From the first one on, every request but health checks needs a token."""

from datetime import UTC, datetime
from typing import Annotated

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from services.gateway.access.modes import AccessMode, mode_without_tokens
from services.gateway.access.tokens import TOKEN_ID, StoredToken
from services.gateway.context import Context
from services.gateway.routes.responses import json_response
from services.gateway.schemas.tokens import CreatedToken, TokenInfo, TokenList, TokenRequest
from services.gateway.scopes import ADMIN_ONLY
from shared.errors import ConflictError

TAG = Tag(name="tokens", description="Who may do what")


class TokenPath(BaseModel):
    """The path of one access token."""

    id: Annotated[str, Field(pattern=f"^{TOKEN_ID}$")]


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("tokens", __name__, abp_tags=[TAG])
    tokens = context.tokens
    may_be_without_tokens = mode_without_tokens(context.settings) is AccessMode.LOOPBACK

    @api.post("/v1/tokens", security=ADMIN_ONLY, responses={201: CreatedToken})
    def create(body: TokenRequest) -> Response:
        """Make an access token. Its text is shown only in this response.

        The first token needs the scope admin. It can be made only while the gateway serves loopback only.
        """
        if not may_be_without_tokens and not tokens.table().records:
            raise ConflictError("the first token is made while the gateway serves loopback only: start it on 127.0.0.1")
        new = tokens.create(body.name, body.scopes, body.days)
        return json_response(CreatedToken(**_describe(new.record, {}).model_dump(), token=new.text), 201)

    @api.get("/v1/tokens", security=ADMIN_ONLY, responses={200: TokenList})
    def listing() -> Response:
        """List the access tokens, oldest first, with the time of their last use."""
        used = tokens.last_used()
        return json_response(TokenList(tokens=[_describe(record, used) for record in tokens.table().records]))

    @api.delete("/v1/tokens/<id>", security=ADMIN_ONLY, responses={204: None})
    def revoke(path: TokenPath) -> Response:
        """Revoke an access token. It counts no longer, in any process, within a second."""
        tokens.revoke(path.id, may_be_last=may_be_without_tokens)
        return Response(status=204)

    return api


def _describe(record: StoredToken, used: dict[str, float]) -> TokenInfo:
    """Return what clients see of a token.

    Args:
        used: id -> time of last use, in seconds since 1970.
    """
    used_s = used.get(record.id)
    return TokenInfo(
        id=record.id,
        name=record.name,
        scopes=record.scopes,
        created_at=record.created_at,
        expires_at=record.expires_at,
        last_used_at=datetime.fromtimestamp(used_s, UTC).replace(microsecond=0) if used_s else None,
    )
