"""Bodies of /v1/tokens."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.gateway.scopes import Scope
from shared.jobs.payloads import Count, RequestBody, ResponseBody

MAX_DAYS = 3650
TokenName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}$", description="whose it is, or for what")
]
Scopes = Annotated[
    list[Scope],
    Field(min_length=1, max_length=4, description="what the token allows; only `admin` includes the others"),
]


class TokenRequest(RequestBody):
    """An access token to make."""

    name: TokenName
    scopes: Scopes
    days: Annotated[Count | None, Field(le=MAX_DAYS, description="how long it counts; null: until it is revoked")] = (
        None
    )


class TokenInfo(ResponseBody):
    """What is known of an access token. Its text is not."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="null: not used yet")]


class CreatedToken(TokenInfo):
    """A token that was just made. This response is the only one that contains its text."""

    token: Annotated[str, Field(description="to be sent as `Authorization: Bearer <token>`")]


class TokenList(ResponseBody):
    """All access tokens."""

    tokens: list[TokenInfo]
