"""JSON bodies: decoded, bounded, validated, and described for OpenAPI. All routes parse JSON here.

Clients send any media type or none, so the media type decides nothing. Of a name that occurs twice in an object, the
last value counts. `NaN` and `Infinity` are numbers here, as Python's clients send them; each field decides whether it
takes them.
"""

import json
import re
from typing import Any, TypeVar

from flask import Request
from flask_openapi3 import APIBlueprint, RequestBody
from flask_openapi3.utils import parse_body
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from services.gateway.routes.field_errors import describe_field_errors
from shared.errors import InvalidRequestError

MAX_JSON_BYTES = 2**20
MAX_JSON_DEPTH = 200  # of lists and objects in each other: the limit of pydantic's parser
UTF8_MARK = b"\xef\xbb\xbf"  # some editors and shells begin a file with this byte order mark
OTHER_BEGINNINGS = b"\xef\xfe\xff\0"  # the first byte of a byte order mark, or of UTF-16 and UTF-32 without one
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

# How the parser's messages begin -> Tandem's words.
SYNTAX_WORDS = {
    "recursion limit": f"lists and objects may be nested at most {MAX_JSON_DEPTH} levels deep",
    "EOF": "it ends too early",
    "trailing comma": "nothing follows a comma",
    "trailing characters": "something follows its end",
    "key must be a string": "a name must be a text in double quotes",
    "expected `:`": "a name is not followed by a colon",
    "expected `,`": "a comma or a bracket is missing",
    "expected value": "a value is missing, or a text is not in double quotes",
    "expected ident": "there is an unknown word",
    "number out of range": "a number has too many digits",
    "invalid number": "a number is malformed",
    "control character": "a text contains a control character, such as a line break, that is not escaped",
    "invalid escape": "a text contains an unknown escape sequence",
    "unexpected end of hex escape": "a text contains half a character (\\ud800 to \\udfff)",
    "lone leading surrogate": "a text contains half a character (\\ud800 to \\udfff)",
    "invalid unicode code point": "a text is not valid UTF-8",
}
POSITION = re.compile(r" at (line \d+) column (\d+)$")

Body = TypeVar("Body", bound=BaseModel)


def parse_json(model: type[Body], text: bytes) -> Body:
    """Return a JSON body as its model.

    Raises:
        BadRequest: the body is not JSON, or is nested too deeply.
        RequestEntityTooLarge: the JSON has more than MAX_JSON_BYTES.
        InvalidRequestError: fields are wrong; the message names each one and says why.
    """
    text = _decoded(text)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        if error.error_count() == 1 and (first := error.errors()[0])["type"] == "json_invalid":
            raise _not_json(text, first["msg"].removeprefix("Invalid JSON: ")) from None
        raise InvalidRequestError(describe_field_errors(error)) from None


class JsonRequest(Request):
    """A request of Flask's routes. Their bodies are parsed as those of `parse_json`, and have the same limits."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002
        """Return the body, a JSON object. flask-openapi3 then validates its fields.

        Raises:
            BadRequest: the body is not JSON, or is nested too deeply.
            RequestEntityTooLarge: the JSON has more than MAX_JSON_BYTES.
            InvalidRequestError: it is not an object.
        """
        text = _decoded(self.get_data())
        try:
            body = from_json(text)
        except ValueError as error:
            is_form = self.mimetype in FORM_TYPES
            raise _not_json(text, str(error), is_form=is_form) from None
        if not isinstance(body, dict):
            raise InvalidRequestError("the body must be a JSON object")
        return body


def _decoded(text: bytes) -> bytes:
    """Return a JSON text in UTF-8 without a byte order mark.

    Windows PowerShell and some editors write UTF-16, or begin UTF-8 with a mark.

    Raises:
        RequestEntityTooLarge: the text has more than MAX_JSON_BYTES.
        BadRequest: the text is not valid in its encoding.
    """
    if len(text) > MAX_JSON_BYTES:
        raise RequestEntityTooLarge(f"JSON may have at most {MAX_JSON_BYTES:,} bytes: send more as binary, or in parts")
    if text.startswith(UTF8_MARK):
        return text.removeprefix(UTF8_MARK)
    if text[:1] and (text[0] in OTHER_BEGINNINGS or text[1:2] == b"\0"):
        encoding = json.detect_encoding(text)
        try:
            return text.decode(encoding).encode()
        except UnicodeError:
            name = encoding.removesuffix("-le").removesuffix("-be").upper()
            raise BadRequest(f"the body is not JSON: it begins like {name}, but is not valid {name}") from None
    return text


def _not_json(text: bytes, reason: str, *, is_form: bool = False) -> BadRequest:
    """Return the error for a body that is not JSON.

    Args:
        text: the body.
        reason: the parser's message.
        is_form: whether the request says that its body is a form.
    """
    if not text.strip():
        return BadRequest("the body is empty: send JSON")
    if is_form and not text.lstrip().startswith((b"{", b"[")):
        return BadRequest("the body is a form: send JSON, with curl: -H 'Content-Type: application/json' -d '{...}'")
    words = next((words for begin, words in SYNTAX_WORDS.items() if reason.startswith(begin)), "it is malformed")
    found = POSITION.search(reason)
    return BadRequest(f"the body is not JSON: {words}" + (f" ({found[1]}, byte {found[2]})" if found else ""))


def describe_body(api: APIBlueprint, path: str, model: type[BaseModel], *, required: bool = True) -> None:
    """Describe the JSON body of a POST route for OpenAPI.

    Args:
        path: as OpenAPI writes it, such as `/v2/models/{name}/infer`.
    """
    content, components = parse_body(model)
    api.components_schemas.update(components)
    api.paths[path].post.requestBody = RequestBody(content=content, required=required)
