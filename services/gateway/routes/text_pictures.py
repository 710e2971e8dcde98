"""Picture files that a client sends as text: as a data URI or in Base64, alone, in JSON, or in a field of a form.

Browsers and scripts hold pictures as text. The text is decoded here. What it holds is checked like any other file.
"""

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict

from services.gateway.routes.request_bodies import UTF8_MARK, parse_json
from shared.errors import InvalidImageError

HEAD_BYTES = 64  # each supported picture file has a byte here that no text has
DATA_URI = re.compile(rb"data:[^,]{0,200},", re.IGNORECASE)
BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")  # without line breaks: with them, a match could take minutes
LINE_BREAKS = b" \t\r\n\v\f"
STANDARD = bytes.maketrans(b"-_", b"+/")  # from the alphabet for URLs
DATA_SCHEME = (b"data:", b"DATA:", b"Data:")
# How PNG, JPEG, WebP, BMP, GIF, TIFF, and HEIC or AVIF files begin in Base64.
BASE64_BEGINNINGS = (b"iVBORw0KGgo", b"/9j/", b"_9j_", b"UklGR", b"Qk", b"R0lGOD", b"SUkqA", b"TU0AK", b"AAAA")
FORM_FIELD = b"image="
EXPLANATION = 'send the file itself, or JSON such as {"image": "data:image/png;base64,..."}'


class PicturesAsJson(BaseModel):
    """One picture or several. Each is a data URI, Base64, or an object whose member `b64` is Base64.

    TensorFlow Serving's clients write `b64`. Other members are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    image: Any = None
    images: Any = None


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
        return [_decode_field(field.removeprefix(FORM_FIELD)) for field in fields]
    if not text.startswith(DATA_SCHEME) and not text.startswith(BASE64_BEGINNINGS):
        return None  # a word is Base64, too
    return [_decode(text)]


def decode_picture(text: bytes) -> bytes | None:
    """Return the file that a data URI or a Base64 text holds, or None if the text is neither.

    Raises:
        InvalidImageError: it is a data URI, but cannot be decoded.
    """
    if start := DATA_URI.match(text):
        data = unquote_to_bytes(text[start.end() :])
        return _decode_base64(data) if start[0].lower().endswith(b";base64,") else data
    digits = text.translate(None, LINE_BREAKS)
    return _decode_base64(digits) if BASE64_TEXT.fullmatch(digits) else None


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
    listed = [*_listed(found.image), *_listed(found.images)]
    held = [picture.get("b64") if isinstance(picture, dict) else picture for picture in listed]
    texts = [text.encode() for text in held if isinstance(text, str)]
    if not texts or len(texts) != len(held):
        raise InvalidImageError(f"the body is JSON without a picture as text: {EXPLANATION}")
    return texts


def _listed(value: Any) -> list[Any]:
    """Return a value as a list, if it is none yet. None is an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _decode_field(value: bytes) -> bytes:
    """Return the file in a field of an encoded form: as the file itself, as a data URI or in Base64.

    A plus sign means a space there, but some clients do not encode the plus signs of Base64.
    """
    file = unquote_to_bytes(value.replace(b"+", b" "))
    return _decode(unquote_to_bytes(value)) if may_be_text(file) else file


def _decode(text: bytes) -> bytes:
    """Return the file that a data URI or a Base64 text holds.

    Raises:
        InvalidImageError: it is neither.
    """
    picture = decode_picture(text.strip())
    if picture is None:
        raise InvalidImageError(f"a picture is neither a data URI nor Base64: {EXPLANATION}")
    return picture


def _decode_base64(text: bytes) -> bytes:
    """Return what a Base64 text holds, with or without padding and line breaks.

    Raises:
        InvalidImageError: it is not valid Base64.
    """
    digits = text.translate(STANDARD, LINE_BREAKS + b"=")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        raise InvalidImageError("a picture's Base64 text is malformed or incomplete: send the file itself") from None
