"""The posted image files of a request: a multipart form, one file as the body, or text that holds pictures."""

from io import BytesIO
from typing import NamedTuple

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from services.gateway.routes.text_pictures import decode_picture, find_pictures, may_be_text
from shared.errors import InvalidImageError, InvalidRequestError
from shared.web.routes import BufferedRequest, run_in_thread

FIELD = "image"
MAX_IMAGES = 64
MAX_FORM_TEXT_BYTES = 2 * 2**20  # of all fields without a file name; pictures as data URIs are such fields
MAX_FORM_PARTS = 200  # files and fields
LOOP_FORM_BYTES = 8 * 2**10  # a larger form can have hundreds of parts, and parsing it takes milliseconds
FORM_TYPE = "multipart/form-data"
CHANGED_PNG = b"\x89PNG\x1a"  # the beginning of a PNG file without its line breaks


class Upload(NamedTuple):
    """A posted file; `name` is its file name, or says which one it is."""

    name: str
    data: bytes


async def read_uploads(request: BufferedRequest) -> list[Upload]:
    """Return the posted files in their order. A large form or text is parsed in a thread.

    Raises:
        InvalidImageError: the form has no file named `image`, or a text holds no picture.
        InvalidRequestError: there are more than MAX_IMAGES files, or the body is JSON of another kind.
        RequestEntityTooLarge: the form has too many parts, or too large fields.
        BadRequest: the body is JSON that is malformed.
    """
    media_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    is_form = media_type.lower() == FORM_TYPE
    if not is_form and not may_be_text(request.body):
        return [_body_upload(request.body)]
    parse = _parse_form if is_form else _parse_text
    if len(request.body) <= LOOP_FORM_BYTES:
        return parse(request.body, options)
    return await run_in_thread(None, parse, request.body, options)


def _body_upload(body: bytes) -> Upload:
    """Return a body that is one file.

    Raises:
        InvalidImageError: the client has removed line breaks from the file.
    """
    if body.startswith(CHANGED_PNG):
        raise InvalidImageError(
            "the line breaks of the PNG file are missing: with curl, use --data-binary @file or "
            f"-F {FIELD}=@file in place of -d @file"
        )
    return Upload("body", body)


def _parse_text(body: bytes, _: dict[str, str]) -> list[Upload]:
    """Return the pictures in a body that may be text, or the body itself."""
    pictures = find_pictures(body)
    if pictures is None:
        return [Upload("body", body)]
    return _limited([Upload(f"{FIELD} {number}", picture) for number, picture in enumerate(pictures, 1)])


def _parse_form(body: bytes, options: dict[str, str]) -> list[Upload]:
    # Werkzeug would write large files to the disk. The body is in memory already, and its size is limited.
    parser = FormDataParser(
        stream_factory=_new_file,
        max_form_memory_size=MAX_FORM_TEXT_BYTES,
        max_form_parts=MAX_FORM_PARTS,
    )
    try:
        _, fields, files = parser.parse(BytesIO(body), FORM_TYPE, len(body), options)
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(
            f"the form has more than {MAX_FORM_PARTS} parts, or fields without a file name of more than "
            f"{MAX_FORM_TEXT_BYTES:,} bytes: send pictures as files, with a file name: -F {FIELD}=@seven.png"
        ) from None
    uploads = [
        Upload(file.filename or f"{FIELD} {number}", file.read()) for number, file in enumerate(files.getlist(FIELD), 1)
    ]
    for text in fields.getlist(FIELD):
        picture = decode_picture(text.strip().encode())
        if not picture:
            raise InvalidImageError(
                f"the field {FIELD!r} is text and not a picture: send it as a file, with a file name: "
                f"-F {FIELD}=@seven.png (a data URI: --form-string)"
            )
        uploads.append(Upload(f"{FIELD} {len(uploads) + 1}", picture))
    if not uploads:
        found = ", ".join(repr(name[:40]) for name in [*files, *fields][:4])
        raise InvalidImageError(
            f"no picture was posted: send one or more multipart files named {FIELD!r}"
            + (f"; the form has {found}" if found else "")
        )
    return _limited(uploads)


def _limited(uploads: list[Upload]) -> list[Upload]:
    """Return the uploads.

    Raises:
        InvalidRequestError: there are more than MAX_IMAGES.
    """
    if len(uploads) > MAX_IMAGES:
        raise InvalidRequestError(f"{len(uploads)} pictures are more than {MAX_IMAGES}: send several requests")
    return uploads


def _new_file(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> BytesIO:
    """Return the file for a part of a form. Werkzeug decides the arguments."""
    return BytesIO()
