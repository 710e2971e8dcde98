"""The posted image files of a request: a multipart form, or one file as the body."""

from io import BytesIO
from typing import NamedTuple

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from shared.errors import InvalidImageError, InvalidRequestError
from shared.web.routes import BufferedRequest, run_in_thread

FIELD = "image"
MAX_IMAGES = 64
MAX_FORM_TEXT_BYTES = 500_000  # of all fields without a file name, which are ignored
MAX_FORM_PARTS = 200  # files and fields
LOOP_FORM_BYTES = 8 * 2**10  # a larger form can have hundreds of parts, and parsing it takes milliseconds
FORM_TYPE = "multipart/form-data"


class Upload(NamedTuple):
    """A posted file; `name` is its file name, or says which one it is."""

    name: str
    data: bytes


async def read_uploads(request: BufferedRequest) -> list[Upload]:
    """Return the posted files in their order. A large form is parsed in a thread.

    Raises:
        InvalidImageError: the form has no file named `image`.
        InvalidRequestError: there are more than MAX_IMAGES files.
        RequestEntityTooLarge: the form has too many parts, or too large fields.
    """
    media_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    if media_type.lower() != FORM_TYPE:
        return [Upload("body", request.body)]
    if len(request.body) <= LOOP_FORM_BYTES:
        return _parse_form(request.body, options)
    return await run_in_thread(None, _parse_form, request.body, options)


def _parse_form(body: bytes, options: dict[str, str]) -> list[Upload]:
    # Werkzeug would write large files to the disk. The body is in memory already, and its size is limited.
    parser = FormDataParser(
        stream_factory=_new_file,
        max_form_memory_size=MAX_FORM_TEXT_BYTES,
        max_form_parts=MAX_FORM_PARTS,
    )
    _, fields, files = parser.parse(BytesIO(body), FORM_TYPE, len(body), options)
    uploads = files.getlist(FIELD)
    if not uploads and FIELD in fields:
        raise InvalidImageError(
            f"the field {FIELD!r} has no file name: send it as a file (with curl: -F {FIELD}=@file)"
        )
    if not uploads:
        raise InvalidImageError(f"no picture was posted: send one or more multipart files named {FIELD!r}")
    if len(uploads) > MAX_IMAGES:
        raise InvalidRequestError(f"{len(uploads)} pictures are more than {MAX_IMAGES}: send several requests")
    return [Upload(file.filename or f"{FIELD} {number}", file.read()) for number, file in enumerate(uploads, 1)]


def _new_file(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> BytesIO:
    """Return the file for a part of a form. Werkzeug decides the arguments."""
    return BytesIO()
