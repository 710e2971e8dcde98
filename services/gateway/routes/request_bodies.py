"""JSON bodies of routes that read them by themselves: bounded, validated, and described for OpenAPI.

Clients of other protocols send any media type or none, so the media type decides nothing here.
"""

from typing import Any, TypeVar

from flask.json.provider import DefaultJSONProvider
from flask_openapi3 import APIBlueprint, RequestBody
from flask_openapi3.utils import parse_body
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from shared.errors import InvalidRequestError
from shared.network.layers import LAYER_KINDS

MAX_JSON_BYTES = 2**20
MAX_JSON_DEPTH = 200  # of lists and objects in each other: the limit of pydantic's parser
TOO_DEEP = "recursion limit exceeded"  # how the parser's message begins
MAX_FIELD_LENGTH = 80  # of a field's name in an error message; clients can make up any name
MAX_REASONS = 20  # invalid fields that an error message lists
MAX_ERRORS = 500  # if there are more invalid fields, none is listed: pydantic would describe all of them first
# Names of alternatives that pydantic lists among a field's parents. They say nothing to a client.
UNION_TAGS = ("preset", "described", "number", "alias", *LAYER_KINDS, "sgd", "adam")

Body = TypeVar("Body", bound=BaseModel)


def parse_json(model: type[Body], text: bytes) -> Body:
    """Return a JSON body as its model.

    Raises:
        BadRequest: the body is not JSON, or is nested too deeply.
        RequestEntityTooLarge: the JSON has more than MAX_JSON_BYTES.
        InvalidRequestError: fields are wrong; the message names each one and says why.
    """
    if len(text) > MAX_JSON_BYTES:
        raise RequestEntityTooLarge(f"JSON may have at most {MAX_JSON_BYTES:,} bytes: send more as binary, or in parts")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        if error.error_count() == 1 and (first := error.errors()[0])["type"] == "json_invalid":
            raise _not_json(first["msg"].removeprefix("Invalid JSON: ")) from None
        raise InvalidRequestError(why(error)) from None


class JsonParser(DefaultJSONProvider):
    """Flask's JSON, parsed by the parser of `parse_json`, so that all routes have the same limits."""

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Parse JSON.

        Raises:
            BadRequest: it is not JSON, or is nested too deeply.
        """
        try:
            return from_json(s)
        except ValueError as error:
            raise _not_json(str(error)) from None


def _not_json(reason: str) -> BadRequest:
    if reason.startswith(TOO_DEEP):
        return BadRequest(f"JSON may be nested at most {MAX_JSON_DEPTH} levels deep")
    return BadRequest(f"the body is not JSON: {reason}")


def why(error: ValidationError) -> str:
    """Return one sentence for each of the first MAX_REASONS invalid fields. It begins with the field's name."""
    if error.error_count() > MAX_ERRORS:
        return f"{error.error_count():,} fields are invalid"
    reasons = []
    for part in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_REASONS]:
        if part["type"] in ("model_type", "model_attributes_type") and not part["loc"]:
            return "the body must be a JSON object, sent as application/json"
        if part["type"] == "too_short" and error.error_count() > 1:
            continue  # pydantic counts only the valid items; the other errors name the invalid ones
        where = ".".join(str(step)[:MAX_FIELD_LENGTH] for step in part["loc"] if step not in UNION_TAGS)
        reasons.append(f"{where or 'body'}: {part['msg'].removeprefix('Value error, ')}")
    if error.error_count() > MAX_REASONS:
        reasons.append(f"and {error.error_count() - MAX_REASONS} more")
    return "; ".join(dict.fromkeys(reasons))


def describe_body(api: APIBlueprint, path: str, model: type[BaseModel], *, required: bool = True) -> None:
    """Describe the JSON body of a POST route for OpenAPI.

    Args:
        path: as OpenAPI writes it, such as `/v2/models/{name}/infer`.
    """
    content, components = parse_body(model)
    api.components_schemas.update(components)
    api.paths[path].post.requestBody = RequestBody(content=content, required=required)
