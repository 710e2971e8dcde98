"""Compressed bodies become exactly what was packed, within limits of bytes, and damaged ones are refused."""

import contextlib
import gzip
import random
import zlib
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from shared.web.content_encoding import (
    MAX_ENCODINGS,
    PIECE_BYTES,
    READ_BYTES,
    Unpacker,
    UnsupportedEncoding,
    parse_encodings,
)

MAX_BYTES = 4 * READ_BYTES


def deflate_raw(data: bytes) -> bytes:
    """Compress without the header of zlib, as some clients do."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", deflate_raw)]


def unpack(body: bytes, *encodings: str, chunk_bytes: int = 0, max_bytes: int = MAX_BYTES) -> bytes:
    size = chunk_bytes or len(body) or 1
    chunks = deque(body[start : start + size] for start in range(0, len(body), size))
    unpacker = Unpacker(chunks, encodings, max_bytes)
    pieces = []
    while not unpacker.is_finished:
        pieces.append(unpacker.read())
        assert len(pieces[-1]) < READ_BYTES + PIECE_BYTES
    assert unpacker.taken_bytes == len(body)
    return b"".join(pieces)


def mixed(size: int) -> bytes:
    """Return bytes of which half can be compressed."""
    return random.Random(size).randbytes(size // 2) + bytes(size - size // 2)


@pytest.mark.parametrize("size", [0, 1, 1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, MAX_BYTES])
@pytest.mark.parametrize(("encoding", "pack"), PACKERS, ids=["gzip", "zlib", "raw deflate"])
def test_a_body_of_any_size_is_unpacked(encoding: str, pack, size: int) -> None:  # type: ignore[no-untyped-def]
    for data in (mixed(size), bytes(size)):
        assert unpack(pack(data), encoding) == data
        assert unpack(pack(data), encoding, chunk_bytes=5000) == data


@settings(deadline=None)
@given(st.binary(max_size=500), st.sampled_from(PACKERS), st.integers(1, 20))
def test_any_bytes_in_any_chunks_are_unpacked(data: bytes, packer, chunk_bytes: int) -> None:  # type: ignore[no-untyped-def]
    encoding, pack = packer
    assert unpack(pack(data), encoding, chunk_bytes=chunk_bytes) == data


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_any_other_bytes_are_refused_with_an_http_error(body: bytes, encoding: str) -> None:
    with contextlib.suppress(HTTPException):
        unpack(body, encoding)


def test_encodings_inside_each_other_and_several_gzip_members_are_unpacked() -> None:
    data = mixed(10_000)
    assert unpack(zlib.compress(gzip.compress(data)), "gzip", "deflate") == data
    assert unpack(gzip.compress(data[:99]) + gzip.compress(data[99:]), "gzip", chunk_bytes=7) == data


@pytest.mark.parametrize(("encoding", "pack"), PACKERS, ids=["gzip", "zlib", "raw deflate"])
def test_a_damaged_body_is_refused(encoding: str, pack) -> None:  # type: ignore[no-untyped-def]
    packed = pack(mixed(10_000))
    for body, words in (
        (packed[:-1], "have no end"),
        (packed[:1], "have no end"),
        (packed + b"rest", "further bytes after the end"),
        (b"\x1f" + packed, "is not valid"),
        (packed[:2000] + b"\xff" * 20 + packed[2020:], "is not valid"),
    ):
        if pack is deflate_raw and "valid" in words:
            continue  # raw deflate data have no checksum
        with pytest.raises(BadRequest) as refusal:
            unpack(body, encoding)
        assert words in str(refusal.value.description)


def test_a_body_that_unpacks_to_too_much_is_refused_before_it_is_unpacked_completely() -> None:
    bomb = gzip.compress(bytes(100 * MAX_BYTES))
    for body, encodings in ((bomb, ["gzip"]), (gzip.compress(bomb), ["gzip", "gzip"])):
        with pytest.raises(RequestEntityTooLarge, match="at most 4,194,304 bytes, unpacked"):
            unpack(body, *encodings)


def test_work_that_gives_hardly_any_bytes_is_bounded_too() -> None:
    with pytest.raises(BadRequest, match="more than 4,096 pieces"):
        unpack(gzip.compress(b"") * 5000, "gzip")
    nothing = b"\0\0\0\xff\xff" * 2 * MAX_BYTES  # empty blocks: they unpack to nothing, and shrink to almost nothing
    with pytest.raises(RequestEntityTooLarge):
        unpack(gzip.compress(nothing), "deflate", "gzip")


@pytest.mark.parametrize(
    ("headers", "encodings"),
    [
        ([], ()),
        (["identity"], ()),
        (["GZip"], ("gzip",)),
        (["x-gzip"], ("gzip",)),
        (["deflate, gzip"], ("deflate", "gzip")),
        (["deflate", "identity , gzip"], ("deflate", "gzip")),
        ([" , "], ()),
    ],
    ids=str,
)
def test_the_header_names_encodings_in_the_order_in_which_they_were_applied(
    headers: list[str], encodings: tuple[str, ...]
) -> None:
    assert parse_encodings(headers) == encodings


@pytest.mark.parametrize(
    "header", ["br", "zstd", "gzip, br", "compress", "gzip;q=1", ",".join(["gzip"] * 5), "x" * 999]
)
def test_other_encodings_are_refused_and_the_response_says_which_are_accepted(header: str) -> None:
    assert MAX_ENCODINGS < 5
    with pytest.raises(UnsupportedEncoding, match="gzip or deflate") as refusal:
        parse_encodings([header])
    assert ("Accept-Encoding", "gzip, deflate, identity") in refusal.value.get_headers()
