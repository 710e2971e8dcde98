"""Responses that are written from schemas."""

from aiohttp import web
from flask import Response
from pydantic import BaseModel

JSON = "application/json"


def json_response(body: BaseModel, status: int = 200) -> Response:
    """Return a schema as a JSON response of Flask's routes."""
    return Response(body.model_dump_json(), status, mimetype=JSON)


def loop_json_response(body: BaseModel, status: int = 200) -> web.Response:
    """Return a schema as a JSON response of the event loop's routes, without the fields that are None."""
    return web.Response(
        body=body.model_dump_json(exclude_none=True).encode(), status=status, headers={"Content-Type": JSON}
    )
