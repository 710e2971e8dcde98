"""Pictures that are sent as text become the same files, and other text is left alone or explained."""

import base64
import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from werkzeug.exceptions import BadRequest

from services.gateway.routes.text_pictures import decode_picture, find_pictures, may_be_text
from shared.errors import InvalidImageError

SEVEN = Path("samples/seven.png").read_bytes()
TEXT = base64.b64encode(SEVEN).decode()
URI = f"data:image/png;base64,{TEXT}"


@pytest.mark.parametrize(
    "body",
    [
        URI,
        URI.replace("data:", "DATA:").replace("base64", "BASE64"),
        f"data:;base64,{TEXT}",
        f"data:image/png;name=a.png;base64,{TEXT}",
        f"data:image/png,{quote(SEVEN)}",
        f"data:image/png;base64,{quote(TEXT, safe='')}",
        TEXT,
        base64.encodebytes(SEVEN).decode(),
        base64.urlsafe_b64encode(SEVEN).decode().rstrip("="),
        f"  {URI}\n",
        json.dumps(URI),
        json.dumps({"image": URI}),
        json.dumps({"image": TEXT, "model": "ignored"}),
        json.dumps({"image": [URI]}),
        json.dumps({"images": [{"b64": TEXT}]}),
        json.dumps([URI]),
        "\ufeff" + json.dumps({"image": URI}),
        urlencode({"image": URI}),
        urlencode({"image": SEVEN}),
        f"image={URI}",
        f"image={TEXT}&other=1",
    ],
    ids=lambda body: body[:40],
)
def test_a_text_becomes_the_file(body: str) -> None:
    assert may_be_text(body.encode())
    assert find_pictures(body.encode()) == [SEVEN]


def test_several_pictures_keep_their_order() -> None:
    second = base64.b64encode(b"second").decode()
    assert find_pictures(json.dumps({"images": [URI, second]}).encode()) == [SEVEN, b"second"]
    assert find_pictures(urlencode([("image", URI), ("image", second)]).encode()) == [SEVEN, b"second"]


@pytest.mark.parametrize("file", sorted(Path("samples").glob("*")), ids=str)
def test_a_picture_file_is_no_text(file: Path) -> None:
    assert not may_be_text(file.read_bytes())


def test_other_text_is_left_to_the_decoder() -> None:
    assert find_pictures(b"hello") is None
    assert find_pictures(b"<svg></svg>") is None
    assert decode_picture(b"not base64!") is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"image": 1}',
        b'{"image": [1]}',
        b'{"image": {"x": 1}}',
        b'{"image": "!!"}',
        b"image=%21%21",
        b"data:image/png;base64,A",
        b"data:image/png;base64,!!!!",
        b"data:no comma",
    ],
    ids=str,
)
def test_text_that_should_be_a_picture_is_explained(body: bytes) -> None:
    with pytest.raises(InvalidImageError, match="send the file itself"):
        find_pictures(body)


def test_malformed_json_is_refused_as_everywhere() -> None:
    with pytest.raises(BadRequest, match="the body is not JSON: it ends too early"):
        find_pictures(b'{"image": ')


def test_a_long_text_is_read_only_once() -> None:
    """With a pattern that tries each length of the line breaks, this would take hours."""
    assert decode_picture(b"iVBORw0KGgo" + b" " * 2**20 + b"!") is None
