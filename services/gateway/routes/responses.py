"""Responses of Flask's routes that are written from schemas."""

from flask import Response
from pydantic import BaseModel


def json_response(body: BaseModel, status: int = 200) -> Response:
    """Return a schema as a JSON response."""
    return Response(body.model_dump_json(), status, mimetype="application/json")
