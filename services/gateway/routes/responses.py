"""Build Flask responses from the response bodies of `services/gateway/schemas`."""

from flask import Response, make_response
from pydantic import BaseModel


def json_response(body: BaseModel, status: int = 200) -> Response:
    """Return a response with a body as JSON."""
    return make_response(body.model_dump(mode="json", by_alias=True), status)
