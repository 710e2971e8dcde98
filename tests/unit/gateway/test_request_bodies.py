"""A body that is read by hand: bounded, and parsed once."""

import gzip

import pytest
from flask import Flask
from pydantic import BaseModel
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from services.gateway.routes.request_bodies import MAX_JSON_BYTES, parsed, posted
from shared.errors import InvalidRequestError

TEXT = b'{"size": 3}' * 100


class Sized(BaseModel):
    size: int


def read(data: bytes, encoding: str | None = None) -> bytes:
    headers = {"Content-Encoding": encoding} if encoding else {}
    with Flask("test").test_request_context("/", method="POST", data=data, headers=headers):
        return posted()


def test_a_compressed_body_is_refused() -> None:
    assert read(TEXT) == read(TEXT, "identity") == TEXT
    with pytest.raises(UnsupportedMediaType, match="gzip"):
        read(gzip.compress(TEXT), "gzip")


def test_a_form_is_read_as_the_bytes_it_is() -> None:
    with Flask("test").test_request_context("/", method="POST", data={"a": "b"}):
        assert posted() == b"a=b"


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
def test_what_is_no_such_json_is_refused(text: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parsed(Sized, text)
