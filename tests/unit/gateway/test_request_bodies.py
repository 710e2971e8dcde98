"""JSON bodies are bounded, and refused with a reason."""

import pytest
from pydantic import BaseModel
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from services.gateway.routes.request_bodies import MAX_JSON_BYTES, parse_json
from shared.errors import InvalidRequestError


class Sized(BaseModel):
    size: int


def test_json_becomes_its_model() -> None:
    assert parse_json(Sized, b'{"size": 3}') == Sized(size=3)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", BadRequest),
        (b"{", BadRequest),
        (b"\xff", BadRequest),
        (b"[" * 100_000, BadRequest),
        (b" " * (MAX_JSON_BYTES + 1), RequestEntityTooLarge),
        (b"[]", InvalidRequestError),
        (b'{"size": "x"}', InvalidRequestError),
        (b'{"size": 1' + b"0" * 5000 + b"}", BadRequest),
    ],
    ids=["nothing", "half", "no text", "deep", "long", "a list", "a word", "huge"],
)
def test_a_body_that_is_not_the_expected_json_is_refused(text: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_json(Sized, text)
