"""POST /v2/models/.../infer: predictions by the Open Inference Protocol v2, in JSON and in binary."""

from dataclasses import dataclass
from time import perf_counter_ns
from typing import Annotated

import numpy as np
from aiohttp import web
from flask_openapi3 import MediaType, Parameter, Tag
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from services.gateway.context import Context
from services.gateway.prediction.model_address import INPUT, ModelAddress, require_all
from services.gateway.prediction.tensors import (
    check_shape,
    images_from_bytes,
    images_from_integers,
    images_from_json,
    split_body,
)
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.path_values import ModelTitle
from services.gateway.routes.request_bodies import MAX_JSON_BYTES, describe_body, parse_json
from services.gateway.routes.uploads import MAX_IMAGES
from services.gateway.schemas.infer_bodies import (
    FlatInferRequest,
    FlatTensor,
    InferResult,
    OutputTensor,
    TensorOptions,
    decode_flat,
    encode_json,
)
from services.gateway.schemas.protocols import InferInput, InferRequest, InferResponse, TensorParameters
from services.gateway.scopes import PREDICT
from shared.errors import InvalidRequestError
from shared.models.versions import Alias, VersionText
from shared.web.routes import BufferedRequest, run_in_thread

TAG = Tag(name="inference", description="Open Inference Protocol v2: predictions of tensors")
JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"
NO_OPTIONS = TensorOptions()
# Larger bodies are parsed in a thread. This many bytes take half a millisecond; an image of 28 x 28 has 3 kB as JSON.
LOOP_BYTES = 64 * 2**10
UNUSUAL_LOOP_BYTES = 4 * 2**10  # the same for bodies that pydantic parses: 4 kB of errors take four milliseconds


class TitlePath(BaseModel):
    """The title in a path: it means the models of all backends, or of one."""

    name: Annotated[ModelTitle, Field(description="`<name>`, or `<name>-<backend>`")]


class TitleVersionPath(TitlePath):
    """A title and a version in a path."""

    version: VersionText


@dataclass(slots=True)
class _ParsedRequest:
    """A request that fits the model.

    Attributes:
        images: uint8 [N, H, W, C].
        outputs: the requested outputs by name, and whether each is wanted in binary.
        backends: those behind the requested outputs.
    """

    id: str | None
    images: NDArray[np.uint8]
    outputs: dict[str, bool]
    backends: tuple[str, ...]


def routes(context: Context) -> EventLoopBlueprint:
    """Return the routes that predict."""
    api = EventLoopBlueprint("inference", __name__, abp_tags=[TAG])

    async def answer(request: BufferedRequest, title: str, version: int | Alias | None = None) -> web.Response:
        started_ns = perf_counter_ns()
        address = await context.addresses.find_model(title, version)
        with context.statistics.measure(address.title, address.version, started_ns) as timed:
            text, tail = split_body(request.body, request.headers.get(JSON_LENGTH_HEADER))
            flat = decode_flat(text) if len(request.body) <= LOOP_BYTES else None
            if flat or len(request.body) <= UNUSUAL_LOOP_BYTES:
                parsed = _parse(address, text, tail, flat)
            else:
                parsed = await run_in_thread(None, _parse, address, text, tail)
            timed.mark("compute_input")
            outcomes = await context.dispatcher.predict(parsed.backends, address.name, address.version, parsed.images)
            return _respond(address, parsed, require_all(outcomes, len(parsed.images), timed))

    @api.post("/v2/models/<name>/infer", security=PREDICT, responses={200: InferResponse})
    async def infer(request: BufferedRequest, path: TitlePath) -> web.Response:
        """Predict 1 to 64 pictures with the newest version; `image` in, probabilities out.

        Every output that is asked for is in the answer, or there is none.
        """
        return await answer(request, path.name)

    @api.post("/v2/models/<name>/versions/<version>/infer", security=PREDICT, responses={200: InferResponse})
    async def infer_version(request: BufferedRequest, path: TitleVersionPath) -> web.Response:
        """Predict 1 to 64 pictures with one version."""
        return await answer(request, path.name, path.version)

    for path in ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"):
        describe_body(api, path, InferRequest)
        _describe_binary(api, path)
    return api


def _parse(address: ModelAddress, text: bytes, tail: bytes, flat: FlatInferRequest | None = None) -> _ParsedRequest:
    """Check a body against the model.

    Args:
        address: of the model.
        text: the JSON.
        tail: the binary tensors behind it.
        flat: the JSON, if it is decoded already.

    Raises:
        BadRequest, RequestEntityTooLarge: the JSON part is not JSON, or too large.
        InvalidRequestError: a part does not fit; the message says what was expected.
    """
    if flat is None and len(text) <= MAX_JSON_BYTES:
        flat = decode_flat(text)
    body = flat or parse_json(InferRequest, text)
    if [tensor.name for tensor in body.inputs] != [INPUT]:
        names = ", ".join(repr(tensor.name[:40]) for tensor in body.inputs[:4]) or "none"
        raise InvalidRequestError(f"inputs: the model has one input, {INPUT!r}, but the request has {names}")
    outputs = _requested_outputs(address, body)
    backends = tuple(dict.fromkeys(address.outputs[output] for output in outputs))
    return _ParsedRequest(body.id, _images_of(body.inputs[0], tail, address), outputs, backends)


def _requested_outputs(address: ModelAddress, body: InferRequest | FlatInferRequest) -> dict[str, bool]:
    """Return the requested outputs, by default all, and whether each is wanted in binary."""
    all_in_binary = bool(body.parameters and body.parameters.binary_data_output)
    outputs: dict[str, bool] = {}
    for output in body.outputs or []:
        if output.name not in address.outputs or output.name in outputs:
            known = ", ".join(address.outputs)
            raise InvalidRequestError(f"outputs: {output.name[:40]!r}: name each output at most once, of {known}")
        in_binary = _supported(output.parameters).binary_data
        outputs[output.name] = all_in_binary if in_binary is None else in_binary
    return outputs or dict.fromkeys(address.outputs, all_in_binary)


def _images_of(tensor: InferInput | FlatTensor, tail: bytes, address: ModelAddress) -> NDArray[np.uint8]:
    check_shape(tensor.shape, address.input_shape, MAX_IMAGES)
    size = _supported(tensor.parameters).binary_data_size
    if (size is None) == (tensor.data is None):
        raise InvalidRequestError("inputs.0: send either data, or parameters.binary_data_size and bytes after the JSON")
    if len(tail) != (size or 0):
        raise InvalidRequestError(f"inputs.0 announces {size or 0} bytes after the JSON, but there are {len(tail)}")
    if tensor.data is None:
        return images_from_bytes(tail, tensor.datatype, tensor.shape)
    if isinstance(tensor, FlatTensor):
        return images_from_integers(tensor.data, tensor.shape)
    return images_from_json(tensor.data, tensor.shape)


def _supported(parameters: TensorParameters | TensorOptions | None) -> TensorParameters | TensorOptions:
    """Return the parameters, or raise InvalidRequestError if one names an extension that Tandem does not have."""
    if parameters is None:
        return NO_OPTIONS
    if parameters.shared_memory_region is not None:
        raise InvalidRequestError("shared_memory_region is not supported: send the data itself")
    if parameters.classification:
        raise InvalidRequestError("classification is not supported: ask for the probabilities")
    return parameters


def _respond(
    address: ModelAddress, parsed: _ParsedRequest, probabilities: dict[str, NDArray[np.float32]]
) -> web.Response:
    """Return the outputs as JSON; outputs that are wanted in binary follow the JSON."""
    outputs: list[OutputTensor] = []
    blobs: list[bytes] = []
    for name, in_binary in parsed.outputs.items():
        array = probabilities[address.outputs[name]]
        output = OutputTensor(name, "FP32", array.shape)
        if in_binary:
            blobs.append(array.astype("<f4").tobytes())
            output.parameters = {"binary_data_size": len(blobs[-1])}
        else:
            output.data = array.ravel().tolist()
        outputs.append(output)
    version = str(address.version)
    text = encode_json(InferResult(model_name=address.title, model_version=version, id=parsed.id, outputs=outputs))
    if not blobs:
        return web.Response(headers={"Content-Type": "application/json"}, body=text)
    headers = {"Content-Type": BINARY, JSON_LENGTH_HEADER: str(len(text))}
    return web.Response(headers=headers, body=b"".join((text, *blobs)))


def _describe_binary(api: EventLoopBlueprint, path: str) -> None:
    """Describe the header and the media type of binary tensors for OpenAPI."""
    operation = api.paths[path].post
    text = "bytes of JSON at the beginning of the body, where tensors follow it in binary"
    schema = {"type": "string", "pattern": "^[0-9]{1,9}$"}
    operation.parameters.append(
        Parameter.model_validate({"name": JSON_LENGTH_HEADER, "in": "header", "description": text, "schema": schema})
    )
    binary = MediaType.model_validate({"schema": {"type": "string", "format": "binary"}})
    for place in (operation.requestBody, operation.responses["200"]):
        place.content = {**place.content, BINARY: binary}
