"""Picture files that a client sends as text: as a data URI or in Base64, alone, in JSON, or in a field of a form.

Browsers and scripts hold pictures as text. The text is decoded here. What it holds is checked like any other file.
"""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict

from services.gateway.routes.request_bodies import UTF8_MARK, parse_json
from shared.errors import InvalidImageError

HEAD_BYTES = 64  # each supported picture file has a byte here that no text has
DATA_URI = re.compile(rb"data:[^,]{0,200},", re.IGNORECASE)
BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
NOT_BASE64 = b" \t\r\n\v\f="  # line breaks and the padding
STANDARD = bytes.maketrans(b"-_", b"+/")  # from the alphabet for URLs
FORM_FIELD = b"image="
EXPLANATION = 'send the file itself, or JSON such as {"image": "data:image/png;base64,..."}'


class EncodedFile(BaseModel):
    """A file as TensorFlow Serving's clients write it."""

    b64: str


class PicturesAsJson(BaseModel):
    """One picture or several, each as a data URI or in Base64."""

    model_config = ConfigDict(extra="ignore")

    image: str | EncodedFile | list[str | EncodedFile] | None = None
    images: list[str | EncodedFile] | None = None


def may_be_text(body: bytes) -> bool:
    """Return whether a body may be text. A picture file is not."""
    head = body[:HEAD_BYTES]
    return (head.isascii() and b"\0" not in head and bool(head)) or head.startswith(UTF8_MARK)


def find_pictures(body: bytes) -> list[bytes] | None:
    """Return the picture files that a text holds, or None if it holds none.

    Raises:
        InvalidImageError: it is a data URI or JSON, but cannot be decoded; the message says what to send.
        BadRequest, RequestEntityTooLarge, InvalidRequestError: it is JSON that is malformed, or too large.
    """
    text = body.removeprefix(UTF8_MARK).strip()
    if text[:1] in (b"{", b"[", b'"'):
        return [_decode(picture) for picture in _pictures_in_json(text)]
    if text.startswith(FORM_FIELD):
        fields = [part for part in text.split(b"&") if part.startswith(FORM_FIELD)]
        return [_decode(unquote_to_bytes(field.removeprefix(FORM_FIELD)), is_file=True) for field in fields]
    picture = decode_picture(text)
    return None if picture is None else [picture]


def decode_picture(text: bytes) -> bytes | None:
    """Return the file that a data URI or a Base64 text holds, or None if the text is neither.

    Raises:
        InvalidImageError: it is a data URI, but cannot be decoded.
    """
    if start := DATA_URI.match(text):
        data = unquote_to_bytes(text[start.end() :])
        return _decode_base64(data) if start[0].lower().endswith(b";base64,") else data
    return _decode_base64(text) if BASE64_TEXT.fullmatch(text) else None


def _pictures_in_json(text: bytes) -> list[bytes]:
    """Return the texts of the pictures in JSON.

    Raises:
        InvalidImageError: it names no picture.
    """
    if text[:1] == b"[":
        text = b'{"images": ' + text + b"}"
    elif text[:1] == b'"':
        text = b'{"image": ' + text + b"}"
    found = parse_json(PicturesAsJson, text)
    listed = found.image if isinstance(found.image, list) else [found.image] if found.image is not None else []
    pictures = [*listed, *(found.images or [])]
    if not pictures:
        raise InvalidImageError(f"the body is JSON without a picture: {EXPLANATION}")
    return [(picture if isinstance(picture, str) else picture.b64).encode() for picture in pictures]


def _decode(text: bytes, *, is_file: bool = False) -> bytes:
    """Return the file that a text holds.

    Args:
        text: a data URI or Base64.
        is_file: whether the text may also be the file itself.

    Raises:
        InvalidImageError: it is neither.
    """
    picture = decode_picture(text.strip()) if not is_file or may_be_text(text) else text
    if picture is None:
        raise InvalidImageError(f"a picture is neither a data URI nor Base64: {EXPLANATION}")
    return picture


def _decode_base64(text: bytes) -> bytes:
    """Return what a Base64 text holds, with or without padding and line breaks.

    Raises:
        InvalidImageError: it is not valid Base64.
    """
    digits = text.translate(STANDARD, NOT_BASE64)
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        raise InvalidImageError("a picture's Base64 text is malformed or incomplete: send the file itself") from None
