"""Decodes and encodes the infer bodies of nearly all clients, several times faster than pydantic.

The structs of requests accept a part of what `InferRequest` of `protocols.py` accepts: only members that mean something
to Tandem, and whole numbers in a flat list. Their values equal those of `InferRequest`. A body that does not fit is no
error here: `InferRequest` accepts it, or says what is wrong with it.
"""

from typing import Annotated

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder, Encoder

from services.gateway.schemas.protocols import Datatype


class TensorOptions(Struct, forbid_unknown_fields=True):
    """As `TensorParameters`."""

    binary_data_size: Annotated[int, Meta(ge=0)] | None = None
    binary_data: bool | None = None
    classification: None = None
    shared_memory_region: None = None


class RequestOptions(Struct, forbid_unknown_fields=True):
    """As `RequestParameters`."""

    binary_data_output: bool | None = None


class FlatTensor(Struct, forbid_unknown_fields=True):
    """As `InferInput`; `data` is flat."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[int] | None = None
    parameters: TensorOptions | None = None


class RequestedOutput(Struct, forbid_unknown_fields=True):
    """As `InferRequestedOutput`."""

    name: str
    parameters: TensorOptions | None = None


class FlatInferRequest(Struct, forbid_unknown_fields=True):
    """As `InferRequest`."""

    inputs: list[FlatTensor]
    id: str | None = None
    parameters: RequestOptions | None = None
    outputs: list[RequestedOutput] | None = None


class OutputTensor(Struct, omit_defaults=True):
    """As `InferOutput`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[float] | None = None
    parameters: dict[str, int] | None = None


class InferResult(Struct, omit_defaults=True, kw_only=True):
    """As `InferResponse`."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


_decoder = Decoder(FlatInferRequest)
_encoder = Encoder()


def decode_flat(text: bytes) -> FlatInferRequest | None:
    """Return a body, or None if it is not of the usual form. Then `InferRequest` says why, or accepts it."""
    try:
        return _decoder.decode(text)
    except (DecodeError, UnicodeDecodeError, RecursionError):  # ValidationError is a DecodeError
        return None


def encode_json(result: InferResult) -> bytes:
    """Return a response as JSON, without the members that are None."""
    return _encoder.encode(result)
