"""Unpacks request bodies that a client compressed: `Content-Encoding` with gzip and deflate (RFC 9110, section 8.4).

A few kB can unpack to any size. Therefore a body is unpacked in small pieces, and the reader counts each piece before
it asks for the next one. This module knows neither requests nor limits of clients.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

SUPPORTED = "gzip, deflate, identity"
MAX_ENCODINGS = 4  # of one body, one inside the other
MAX_GZIP_MEMBERS = 4096  # a gzip file may consist of several; each one costs microseconds, whatever its size
PIECE_BYTES = 256 * 2**10  # at most so many bytes are unpacked by one call of zlib
READ_BYTES = 2**20  # `read` returns about so many bytes
INPUT_BYTES = 64 * 2**10  # zlib gets so many bytes at once: it copies what it has not used

GZIP_BITS, ZLIB_BITS, RAW_BITS = 31, 15, -15  # zlib's names of the formats
GZIP_FIRST_BYTE = 0x1F
ZLIB_METHOD = 8  # the low four bits of the first byte of zlib data (RFC 1950, section 2.2)
SHOWN_CHARACTERS = 80  # of a header in an error message


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed in an unknown way. The response says what is accepted (RFC 9110, section 12.5.3)."""

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        return [*super().get_headers(*arguments, **options), ("Accept-Encoding", SUPPORTED)]


def parse_encodings(headers: Sequence[str]) -> tuple[str, ...]:
    """Return the encodings of a body, in the order in which they were applied, without `identity`.

    Args:
        headers: the values of all headers `Content-Encoding`.

    Raises:
        UnsupportedEncoding: an encoding is unknown, or there are more than MAX_ENCODINGS.
    """
    text = ",".join(headers)
    names = [name.strip().lower().removeprefix("x-") for name in text.split(",") if name.strip()]
    encodings = tuple(name for name in names if name != "identity")
    if len(encodings) > MAX_ENCODINGS or not {*encodings} <= {"gzip", "deflate"}:
        raise UnsupportedEncoding(
            f"Content-Encoding {text[:SHOWN_CHARACTERS]!r} is not supported: send the body as it is, or compressed "
            "with gzip or deflate"
        )
    return encodings


class Unpacker:
    """Unpacks a body piece by piece.

    Args:
        chunks: the body. Each chunk is removed when its turn comes, so that its memory is free again.
        encodings: as `parse_encodings` returns them.
        max_bytes: of the result, and of each step between two encodings.

    Attributes:
        taken_bytes: how many bytes of the body have been removed from `chunks`.
        is_finished: whether `read` has returned everything.
    """

    def __init__(self, chunks: deque[bytes], encodings: tuple[str, ...], max_bytes: int) -> None:
        self.taken_bytes = 0
        self.is_finished = False
        self._pieces = self._take(chunks)
        for encoding in reversed(encodings):
            self._pieces = _unpack(self._pieces, encoding, max_bytes)

    def read(self) -> bytes:
        """Return the next READ_BYTES of the result or somewhat more, or fewer at its end. It blocks.

        Raises:
            BadRequest: the data are damaged, incomplete, or of another encoding than the client said.
            RequestEntityTooLarge: the result, or a step between two encodings, has more than `max_bytes`.
        """
        pieces, size = [], 0
        for piece in self._pieces:
            pieces.append(piece)
            size += len(piece)
            if size >= READ_BYTES:
                return b"".join(pieces)
        self.is_finished = True
        return b"".join(pieces)

    def _take(self, chunks: deque[bytes]) -> Iterator[bytes]:
        while chunks:
            chunk = chunks.popleft()
            self.taken_bytes += len(chunk)
            yield chunk


def too_large(max_bytes: int) -> RequestEntityTooLarge:
    """Return the error for a body that has more bytes than allowed, as it was sent or unpacked."""
    return RequestEntityTooLarge(f"the body may have at most {max_bytes:,} bytes, unpacked if it is compressed")


def _unpack(chunks: Iterator[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    """Yield what chunks unpack to, in pieces of at most PIECE_BYTES.

    Raises:
        BadRequest: the data are damaged, incomplete, or of another encoding.
        RequestEntityTooLarge: they unpack to more than `max_bytes`.
    """
    decoder = None
    members = size = 0
    for data in _slices(chunks):
        rest, has_more = data, False  # `has_more`: the decoder has not returned all of its output
        while rest or has_more:
            if decoder is None or decoder.eof:
                members += 1
                decoder = _new_decoder(encoding, members, rest[0])
            try:
                piece = decoder.decompress(rest, PIECE_BYTES)
            except zlib.error:
                raise BadRequest(f"the body is not valid {encoding} data, although Content-Encoding says so") from None
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            has_more = len(piece) == PIECE_BYTES and not decoder.eof
            size += len(piece)
            if size > max_bytes:
                raise too_large(max_bytes)
            if piece:
                yield piece
    if decoder is None or not decoder.eof:
        raise BadRequest(f"the body is incomplete: its {encoding} data have no end")


def _slices(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the bytes of chunks in slices of at most INPUT_BYTES."""
    for chunk in chunks:
        for start in range(0, len(chunk), INPUT_BYTES):
            yield chunk[start : start + INPUT_BYTES]


def _new_decoder(encoding: str, member: int, first: int) -> "zlib._Decompress":
    """Return a decoder for the data that begin here.

    Deflate means zlib data, but some clients send raw deflate data. The first byte tells them apart.

    Args:
        member: the number of these data in the body, from 1. Only gzip data may follow other data.
        first: their first byte.

    Raises:
        BadRequest: nothing may follow the data before, or there are too many members.
    """
    if member > 1 and (encoding != "gzip" or first != GZIP_FIRST_BYTE):
        raise BadRequest(f"the body has further bytes after the end of its {encoding} data")
    if member > MAX_GZIP_MEMBERS:
        raise BadRequest(f"the body consists of more than {MAX_GZIP_MEMBERS:,} pieces of gzip data: send one")
    if encoding == "gzip":
        return zlib.decompressobj(GZIP_BITS)
    return zlib.decompressobj(ZLIB_BITS if first & 0x0F == ZLIB_METHOD else RAW_BITS)
