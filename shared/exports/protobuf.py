"""Encodes messages in the binary format of Protocol Buffers, as far as ONNX files need it.

A message is a sequence of fields. A field is a key, which holds the field's number and its wire type, and a value
(https://protobuf.dev/programming-guides/encoding/). Fields are written in the order of their numbers, and a repeated
field is written once per value. These are also the bytes that Google's library writes for ONNX when it is asked for a
deterministic result. This module does no I/O.
"""

import struct
from collections.abc import Mapping, Sequence

VARINT, LENGTH_DELIMITED, FIXED32 = 0, 2, 5  # wire types

Value = int | float | str | bytes
"""An integer becomes a varint, a float 32 bits, and a text or an encoded message its length and its bytes."""
Field = Value | Sequence[int] | Sequence[bytes]
"""A value, or the values of a repeated field, of which there may be none."""


def encode_message(fields: Mapping[int, Field]) -> bytes:
    """Return an encoded message, given the number of each field and its value."""
    encoded = []
    for number in sorted(fields):
        value = fields[number]
        values = [value] if isinstance(value, Value) else value
        encoded += [_encode_field(number, each) for each in values]
    return b"".join(encoded)


def _encode_field(number: int, value: Value) -> bytes:
    match value:
        case int():
            return _encode_key(number, VARINT) + _encode_varint(value)
        case float():
            return _encode_key(number, FIXED32) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _encode_key(number, LENGTH_DELIMITED) + _encode_varint(len(data)) + data


def _encode_key(number: int, wire_type: int) -> bytes:
    return _encode_varint(number << 3 | wire_type)


def _encode_varint(value: int) -> bytes:
    """Return an integer, 0 or larger, in groups of seven bits. The lowest group is first; bit 8 says: one more."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
