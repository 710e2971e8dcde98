"""JSON bodies are bounded, and refused with a reason."""

import json

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


class Listed(BaseModel):
    sizes: list[int]


def test_many_invalid_fields_give_a_short_message() -> None:
    for count, end in ((19, "sizes.18: "), (100, "and 80 more"), (1000, "1,000 fields are invalid")):
        body = json.dumps({"sizes": ["x"] * count}).encode()
        with pytest.raises(InvalidRequestError) as refusal:
            parse_json(Listed, body)
        assert end in str(refusal.value)
        assert len(str(refusal.value)) < 3000
