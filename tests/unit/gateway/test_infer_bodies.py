"""The fast decoder of infer bodies accepts a part of what the complete one accepts, and returns the same values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.routes.request_bodies import parse_json
from services.gateway.schemas.infer_bodies import FlatInferRequest, decode_flat
from services.gateway.schemas.protocols import InferRequest, TensorParameters

TENSOR = {"name": "image", "shape": [1, 2, 1, 1], "datatype": "UINT8", "data": [0, 255]}
USUAL: list[dict[str, Any]] = [
    {"inputs": [TENSOR]},
    {"id": "mine", "inputs": [TENSOR], "outputs": [{"name": "probabilities"}]},
    {"id": None, "inputs": [{**TENSOR, "parameters": None}], "outputs": None, "parameters": None},
    {"inputs": [TENSOR], "parameters": {"binary_data_output": True}},
    {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]},
    {"inputs": [TENSOR], "outputs": [{"name": "pytorch", "parameters": {"binary_data": False}}]},
    {"inputs": [{**TENSOR, "data": [2**70, -1]}]},
    {"inputs": []},
]
LEFT_TO_PYDANTIC: list[Any] = [
    {"inputs": [{**TENSOR, "data": [[0], [255]]}]},
    {"inputs": [{**TENSOR, "data": [0.0, 255.0]}]},
    {"inputs": [{**TENSOR, "data": [True, 1]}]},
    {"inputs": [{**TENSOR, "shape": [1.0, 2, 1, 1]}]},
    {"inputs": [{**TENSOR, "datatype": "BYTES"}]},
    {"inputs": [{**TENSOR, "parameters": {"binary_data_size": -1}}]},
    {"inputs": [{**TENSOR, "parameters": {"classification": 3}}]},
    {"inputs": [{**TENSOR, "parameters": {"shared_memory_region": "x"}}]},
    {"inputs": [TENSOR], "model_name": "x"},
    {"inputs": TENSOR},
    {"id": 1, "inputs": [TENSOR]},
    [],
    None,
    {},
]


def as_plain(found: FlatInferRequest | InferRequest) -> dict[str, Any]:
    """Return the values of a request, whichever class it has."""

    def options(parameters: Any) -> Any:
        return None if parameters is None else [getattr(parameters, name) for name in TensorParameters.model_fields]

    return {
        "id": found.id,
        "all_binary": found.parameters and found.parameters.binary_data_output,
        "inputs": [(one.name, one.shape, one.datatype, one.data, options(one.parameters)) for one in found.inputs],
        "outputs": found.outputs and [(one.name, options(one.parameters)) for one in found.outputs],
    }


@pytest.mark.parametrize("body", USUAL)
def test_usual_bodies_are_decoded_fast(body: dict[str, Any]) -> None:
    for text in (json.dumps(body).encode(), json.dumps(body, indent=2).encode()):
        flat = decode_flat(text)
        assert flat is not None
        assert as_plain(flat) == as_plain(parse_json(InferRequest, text))


@pytest.mark.parametrize("body", LEFT_TO_PYDANTIC)
def test_other_bodies_are_left_to_the_complete_decoder(body: Any) -> None:
    assert decode_flat(json.dumps(body).encode()) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b'{"inputs":[],"\xff":1}',
        b'{"inputs":[],"id":"\xff"}',
        b'{"inputs":' + b"[" * 100_000,
        b"NaN",
    ],
)
def test_what_is_not_json_is_left_to_the_complete_decoder(text: bytes) -> None:
    assert decode_flat(text) is None


_numbers = st.integers(-3, 300) | st.sampled_from([1.0, True, None, "1", [1], float("nan"), 2**64])
_parameters = st.dictionaries(st.sampled_from(list(TensorParameters.model_fields)), _numbers, max_size=2) | _numbers
_tensors = st.fixed_dictionaries(
    {"name": st.text(max_size=3)},
    optional={
        "shape": st.lists(_numbers, max_size=4) | _numbers,
        "datatype": st.sampled_from(["UINT8", "FP32", "BYTES", "uint8", 1]),
        "data": st.lists(st.integers(0, 255), max_size=4) | st.lists(_numbers, max_size=4) | _numbers,
        "parameters": _parameters,
        "more": _numbers,
    },
)
_bodies = st.fixed_dictionaries(
    {"inputs": st.lists(_tensors, max_size=2) | _numbers},
    optional={
        "id": st.text(max_size=3) | _numbers,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_output", "x"]), _numbers, max_size=2) | _numbers,
        "outputs": st.lists(_tensors, max_size=2) | _numbers,
    },
)


@given(_bodies)
def test_what_the_fast_decoder_accepts_the_complete_one_reads_alike(body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    flat = decode_flat(text)
    if flat is not None:
        assert as_plain(flat) == as_plain(parse_json(InferRequest, text))
