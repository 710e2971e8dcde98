"""Tensors of other protocols become images: JSON lists or little-endian bytes to uint8 [N, H, W, C].

This module knows neither requests nor models. Values that are not pixels are refused with an InvalidRequestError that
says what was expected. No value is rounded, clipped or converted from text.
"""

import re
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidRequestError
from shared.network.layers import Shape

# The protocol's names of datatypes, and NumPy's.
DATATYPES = {
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
PIXEL_RULE = "pixels are whole numbers from 0 to 255 (the model scales them itself)"
JSON_TYPES = {bool: "a boolean", str: "a text", type(None): "null", list: "a list", dict: "an object"}
MAX_SHOWN_DIMENSIONS = 8  # of a wrong shape in an error message


def split_body(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    """Split a body into its JSON and the binary tensors that follow.

    Args:
        json_length: the header `Inference-Header-Content-Length`, or None: then the whole body is JSON.

    Raises:
        InvalidRequestError: the header is not a length within the body.
    """
    if json_length is None:
        return body, b""
    if not re.fullmatch("[0-9]{1,9}", json_length) or int(json_length) > len(body):
        raise InvalidRequestError(
            f"Inference-Header-Content-Length {json_length[:20]!r} must be the length of the JSON: "
            f"at most the body's {len(body)} bytes"
        )
    return body[: int(json_length)], body[int(json_length) :]


def check_shape(shape: list[int], image_shape: Shape, max_images: int) -> None:
    """Require the shape [N, *image_shape] with N from 1 to `max_images`.

    Raises:
        InvalidRequestError: the shape is another one.
    """
    if shape[1:] != list(image_shape) or not 1 <= shape[0] <= max_images:
        sent = f"{shape}" if len(shape) <= MAX_SHOWN_DIMENSIONS else f"of {len(shape)} dimensions"
        raise InvalidRequestError(f"the shape is {sent}: expected {['N', *image_shape]}, N from 1 to {max_images}")


def images_from_bytes(data: bytes, datatype: str, shape: list[int]) -> NDArray[np.uint8]:
    """Return images from a binary tensor in row-major order.

    Args:
        datatype: a key of DATATYPES.
        shape: [N, H, W, C].

    Raises:
        InvalidRequestError: the number of bytes does not fit the shape, or a value is not a pixel.
    """
    dtype = np.dtype(DATATYPES[datatype])
    expected = prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise InvalidRequestError(f"{datatype} {shape} takes {expected} bytes, but {len(data)} were sent")
    numbers = np.frombuffer(data, dtype)
    return (numbers if dtype == np.uint8 else _to_pixels(numbers)).reshape(shape)  # type: ignore[return-value]


def images_from_json(data: list[Any], shape: list[int]) -> NDArray[np.uint8]:
    """Return images from numbers in row-major order, flat or nested like the shape.

    Args:
        shape: [N, H, W, C].

    Raises:
        InvalidRequestError: the count or nesting does not fit the shape, or a value is not a pixel.
    """
    numbers = _flatten(data, shape) if data and isinstance(data[0], list) else data
    types = set(map(type, numbers))
    if types == {int}:
        return images_from_integers(numbers, shape)
    _check_count(numbers, shape)
    if not types <= {int, float}:
        found = " and ".join(sorted(JSON_TYPES[kind] for kind in types - {int, float}))
        raise InvalidRequestError(f"{PIXEL_RULE}; the data contain {found}")
    try:
        return _to_pixels(np.array(numbers, np.float64)).reshape(shape)
    except OverflowError:
        raise InvalidRequestError(f"{PIXEL_RULE}; at least one number is not") from None


def images_from_integers(numbers: list[int], shape: list[int]) -> NDArray[np.uint8]:
    """Return images from whole numbers in row-major order.

    Args:
        numbers: of the type `int`.
        shape: [N, H, W, C].

    Raises:
        InvalidRequestError: the count does not fit the shape, or a number is not a pixel.
    """
    _check_count(numbers, shape)
    try:
        return np.frombuffer(bytes(numbers), np.uint8).reshape(shape)  # bytes() checks and converts in C
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{PIXEL_RULE}; at least one number is not") from None


def _check_count(numbers: list[Any], shape: list[int]) -> None:
    if len(numbers) != prod(shape):
        raise InvalidRequestError(f"{shape} takes {prod(shape)} numbers, but {len(numbers)} were sent")


def _flatten(data: list[Any], shape: list[int]) -> list[Any]:
    """Flatten nested lists level by level, and require that each level is as long as the shape says."""
    level: list[Any] = [data]
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise InvalidRequestError(f"the lists are not nested like the shape {shape}")
        level = list(chain.from_iterable(level))
    return level


def _to_pixels(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers as uint8, if every one is a pixel; nan and infinity are not."""
    with np.errstate(invalid="ignore"):  # a signalling nan is refused below, and needs no warning
        are_pixels = (numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))
    if not are_pixels.all():
        raise InvalidRequestError(f"{PIXEL_RULE}; at least one number is not")
    return numbers.astype(np.uint8)
