"""Tensors on the wire: JSON lists or little-endian bytes become pictures, uint8 [N, H, W, C].

It knows no request and no model. What it refuses, it refuses with an
InvalidRequestError that says what was expected; nothing is rounded, clipped or
guessed from a string.
"""

import re
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidRequestError
from shared.network.layers import Shape

DATATYPES = {
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
PIXELS = "pixels are whole numbers from 0 to 255 (the model scales them itself)"
KINDS = {bool: "a boolean", str: "a text", type(None): "null", list: "a list", dict: "an object"}


def split(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the bytes after it.

    Args:
        length: the header `Inference-Header-Content-Length`; without it, all is JSON.
    """
    if length is None:
        return body, b""
    if not re.fullmatch("[0-9]{1,9}", length) or int(length) > len(body):
        raise InvalidRequestError(
            f"Inference-Header-Content-Length {length[:20]!r} must be the length of the JSON: "
            f"at most the body's {len(body)} bytes"
        )
    return body[: int(length)], body[int(length) :]


def check_shape(shape: list[int], picture: Shape, most: int) -> None:
    """Refuse any shape but [1 to `most`, *picture]."""
    if shape[1:] != list(picture) or not 1 <= shape[0] <= most:
        raise InvalidRequestError(f"the shape is {_short(shape)}: expected {['N', *picture]}, N from 1 to {most}")


def from_bytes(data: bytes, datatype: str, shape: list[int]) -> NDArray[np.uint8]:
    """Pictures from bytes in row-major order, of any datatype of DATATYPES."""
    dtype = np.dtype(DATATYPES[datatype])
    if len(data) != prod(shape) * dtype.itemsize:
        raise InvalidRequestError(
            f"{len(data)} bytes are not {datatype} {shape}: that takes {prod(shape) * dtype.itemsize}"
        )
    numbers = np.frombuffer(data, dtype)
    return (numbers if dtype == np.uint8 else _whole(numbers)).reshape(shape)  # type: ignore[return-value]


def from_json(data: list[Any], shape: list[int]) -> NDArray[np.uint8]:
    """Pictures from numbers that are nested as the shape is, or flat in row-major order."""
    numbers = _flat(data, shape) if data and isinstance(data[0], list) else data
    if len(numbers) != prod(shape):
        raise InvalidRequestError(f"{len(numbers)} numbers are not {shape}: that takes {prod(shape)}")
    kinds = set(map(type, numbers))
    if kinds == {int}:  # the common case, at the speed of C
        try:
            return np.frombuffer(bytes(numbers), np.uint8).reshape(shape)
        except (ValueError, OverflowError):
            raise InvalidRequestError(f"{PIXELS}; one is not") from None
    if not kinds <= {int, float}:
        found = " and ".join(sorted(KINDS[kind] for kind in kinds - {int, float}))
        raise InvalidRequestError(f"{PIXELS}; there is {found} among them")
    try:
        return _whole(np.array(numbers, np.float64)).reshape(shape)
    except OverflowError:
        raise InvalidRequestError(f"{PIXELS}; one is not") from None


def _flat(data: list[Any], shape: list[int]) -> list[Any]:
    """Nested lists, level by level, each as long as the shape has it."""
    level: list[Any] = [data]
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise InvalidRequestError(f"the lists are not nested as {shape}")
        level = list(chain.from_iterable(level))
    return level


def _whole(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """The same numbers as uint8, where every one is a pixel; nan and infinity are none."""
    with np.errstate(invalid="ignore"):  # a signalling nan is no pixel, and no reason to warn
        whole = (numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))
    if not whole.all():
        raise InvalidRequestError(f"{PIXELS}; one is not")
    return numbers.astype(np.uint8)


def _short(shape: list[int]) -> str:
    return f"{shape}" if len(shape) <= 8 else f"of {len(shape)} dimensions"
