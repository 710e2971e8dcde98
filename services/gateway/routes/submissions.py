"""Long work over HTTP, as every resource of it answers: 202, where to look, and once is enough."""

from http import HTTPStatus
from typing import Annotated, Any

from flask import Response, make_response
from pydantic import BaseModel, Field

from shared.jobs.job_queue import Once

POLL_AFTER_S = 1


class OnceHeader(BaseModel):
    """The header that makes a repeated submission harmless (draft-ietf-httpapi-idempotency-key-header)."""

    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="a repeated key gives the first answer again, for a day",
        ),
    ] = None

    def once(self, *request: BaseModel) -> Once | None:
        """The key, with the request it came with."""
        if not self.idempotency_key:
            return None
        return Once.of(self.idempotency_key, [part.model_dump(mode="json") for part in request])


def file_of(media_type: str, description: str) -> dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]:
    """What OpenAPI is told of a route that answers with a file."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}}


class WorkPath(BaseModel):
    id: Annotated[str, Field(max_length=64)]


def accepted(location: str, body: dict[str, Any]) -> Response:
    """202: the work is queued, and `location` is where to look for it."""
    response = make_response(body, 202)
    response.headers["Location"] = location
    response.headers["Retry-After"] = str(POLL_AFTER_S)
    return response
