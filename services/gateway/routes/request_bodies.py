"""The body of a request whose route reads it by itself: bounded, and parsed once.

Clients of other protocols name no media type, or curl's own, so that it decides
nothing here.
"""

from typing import TypeVar

from flask import request
from flask_openapi3 import APIBlueprint, RequestBody
from flask_openapi3.utils import parse_body
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from shared.errors import InvalidRequestError
from shared.network.layers import LAYER_KINDS

MAX_JSON_BYTES = 2**20
# pydantic names them beside the fields
UNION_TAGS = ("preset", "described", "number", "alias", *LAYER_KINDS, "sgd", "adam")

Body = TypeVar("Body", bound=BaseModel)


def posted() -> bytes:
    """The body as it was sent.

    Raises:
        UnsupportedMediaType: it is compressed.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:80]!r}: send the body as it is")
    return request.get_data(cache=False)


def parsed(model: type[Body], text: bytes) -> Body:
    """The JSON of a body as its model.

    Raises:
        BadRequest, RequestEntityTooLarge: it is not JSON, or too much of it.
        InvalidRequestError: each field that is wrong, and why.
    """
    if len(text) > MAX_JSON_BYTES:
        raise RequestEntityTooLarge(f"JSON is at most {MAX_JSON_BYTES:,} bytes; send more in binary, or in parts")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise BadRequest(f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}") from None
        raise InvalidRequestError(why(error)) from None


def why(error: ValidationError) -> str:
    """What pydantic refused, with the name of each field."""
    reasons = []
    for part in error.errors(include_url=False, include_input=False, include_context=False):
        if part["type"] in ("model_type", "model_attributes_type") and not part["loc"]:
            return "the body must be a JSON object, sent as application/json"
        if part["type"] == "too_short" and len(error.errors()) > 1:
            continue  # pydantic counts only what was valid; the other errors say what was not
        where = ".".join(str(step) for step in part["loc"] if step not in UNION_TAGS)
        reasons.append(f"{where or 'body'}: {part['msg'].removeprefix('Value error, ')}")
    return "; ".join(dict.fromkeys(reasons))


def describe_body(api: APIBlueprint, path: str, model: type[BaseModel], *, required: bool = True) -> None:
    """Tell OpenAPI which JSON a POST takes."""
    content, components = parse_body(model)
    api.components_schemas.update(components)
    api.paths[path].post.requestBody = RequestBody(content=content, required=required)
