"""POST /v2/models/.../infer: Open Inference Protocol v2, in JSON and in binary.

The body is read by hand: its numbers are parsed once, and no model of them is
made. The path that a program takes for one picture is short.
"""

import json
import re
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Annotated, Any

import numpy as np
from aiohttp.web import BaseRequest
from flask import Response, request
from flask_openapi3 import APIBlueprint, MediaType, Parameter, Tag
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from services.gateway.context import Context
from services.gateway.prediction.model_address import INPUT, ModelAddress, require_all
from services.gateway.prediction.tensors import check_shape, from_bytes, from_json, split
from services.gateway.routes.predictions import MAX_IMAGES
from services.gateway.routes.request_bodies import describe_body, parsed, posted
from services.gateway.schemas.protocols import InferInput, InferRequest, InferResponse, TensorParameters
from shared.errors import InvalidRequestError
from shared.models.versions import VersionText
from shared.web.server import Handler

TAG = Tag(name="inference", description="Open Inference Protocol v2: predictions of tensors")
LENGTH = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"
DIRECT_BYTES = 64 * 2**10  # of a body that the event loop reads itself: a larger one would hold the others up


class TitlePath(BaseModel):
    name: Annotated[str, Field(max_length=255, description="`<name>`, or `<name>-<backend>`")]


class TitleVersionPath(TitlePath):
    version: VersionText


@dataclass(frozen=True)
class _Asked:
    """pictures: uint8 [N, H, W, C]; outputs: their names, and whether each is wanted in binary."""

    identity: str | None
    pictures: NDArray[np.uint8]
    outputs: dict[str, bool]
    backends: tuple[str, ...]


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("inference", __name__, abp_tags=[TAG])

    def answer(served: ModelAddress) -> Response:
        with context.statistics.measure(served.title, served.version) as timed:
            asked = _asked(served, *split(posted(), request.headers.get(LENGTH)))
            timed.done("compute_input")
            outcomes = context.dispatcher.predict(asked.backends, served.name, served.version, asked.pictures)
            headers, body = _answer(served, asked, require_all(outcomes, len(asked.pictures), timed))
        return Response(body, headers=headers)

    @api.post("/v2/models/<name>/infer", responses={200: InferResponse})
    def infer(path: TitlePath) -> Response:
        """Predict 1 to 64 pictures with the newest version; `image` in, probabilities out.

        Every output that is asked for is in the answer, or there is none.
        """
        return answer(context.addresses.resolve_model(path.name))

    @api.post("/v2/models/<name>/versions/<version>/infer", responses={200: InferResponse})
    def infer_version(path: TitleVersionPath) -> Response:
        """Predict 1 to 64 pictures with one version."""
        return answer(context.addresses.resolve_model(path.name, path.version))

    for path in ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"):
        describe_body(api, path, InferRequest)
        _describe_binary(api, path)
    return api


def direct(context: Context) -> dict[str, tuple[str, Handler]]:
    """The same, on the event loop."""

    async def infer(path: re.Match[str], request: BaseRequest, body: bytes) -> tuple[dict[str, str], bytes] | None:
        if len(body) > DIRECT_BYTES or "Content-Encoding" in request.headers:
            return None
        begun = perf_counter_ns()
        served = context.addresses.resolve_model(path[1], int(path[2]) if path[2] else None)
        asked = _asked(served, *split(body, request.headers.get(LENGTH)))
        with context.statistics.measure(served.title, served.version, begun) as timed:
            timed.done("compute_input")
            outcomes = await context.dispatcher.ask(asked.backends, served.name, served.version, asked.pictures)
            return _answer(served, asked, require_all(outcomes, len(asked.pictures), timed))

    return {"/v2/models/<name>/infer": (r"/v2/models/([^/:]+)(?:/versions/([0-9]{1,9}))?/infer", infer)}


def _asked(served: ModelAddress, text: bytes, tail: bytes) -> _Asked:
    """What a request asks for, checked against the model.

    Raises:
        BadRequest, RequestEntityTooLarge: it is not JSON, or too much of it.
        InvalidRequestError: what is wrong, and what was expected.
    """
    body = parsed(InferRequest, text)
    if [tensor.name for tensor in body.inputs] != [INPUT]:
        names = ", ".join(repr(tensor.name[:40]) for tensor in body.inputs[:4]) or "none"
        raise InvalidRequestError(f"inputs: the model has one, {INPUT!r}; there came {names}")
    everywhere = bool(body.parameters and body.parameters.binary_data_output)
    outputs = {}
    for output in body.outputs or []:
        if output.name not in served.outputs or output.name in outputs:
            known = ", ".join(served.outputs)
            raise InvalidRequestError(f"outputs: {output.name[:40]!r}: name each at most once, of {known}")
        wanted = _offered(output.parameters).binary_data
        outputs[output.name] = everywhere if wanted is None else wanted
    outputs = outputs or dict.fromkeys(served.outputs, everywhere)
    backends = tuple(dict.fromkeys(served.outputs[output] for output in outputs))
    return _Asked(body.id, _pictures(body.inputs[0], tail, served), outputs, backends)


def _pictures(tensor: InferInput, tail: bytes, served: ModelAddress) -> NDArray[np.uint8]:
    check_shape(tensor.shape, served.input_shape, MAX_IMAGES)
    size = _offered(tensor.parameters).binary_data_size
    if (size is None) == (tensor.data is None):
        raise InvalidRequestError("inputs.0: send either data, or parameters.binary_data_size and bytes after the JSON")
    if len(tail) != (size or 0):
        raise InvalidRequestError(f"inputs.0 announces {size or 0} bytes after the JSON; there are {len(tail)}")
    if tensor.data is None:
        return from_bytes(tail, tensor.datatype, tensor.shape)
    return from_json(tensor.data, tensor.shape)


def _offered(parameters: TensorParameters | None) -> TensorParameters:
    parameters = parameters or TensorParameters()
    if parameters.shared_memory_region is not None:
        raise InvalidRequestError("shared_memory_region: there is no shared memory here; send the data itself")
    if parameters.classification:
        raise InvalidRequestError("classification: not offered here; ask for the probabilities")
    return parameters


def _answer(served: ModelAddress, asked: _Asked, given: dict[str, NDArray[np.float32]]) -> tuple[dict[str, str], bytes]:
    """Headers, and JSON, and after it the outputs that are wanted in binary."""
    outputs: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, is_binary in asked.outputs.items():
        array = given[served.outputs[name]]
        output = {"name": name, "datatype": "FP32", "shape": list(array.shape)}
        if is_binary:
            blobs.append(array.astype("<f4").tobytes())
            outputs.append({**output, "parameters": {"binary_data_size": len(blobs[-1])}})
        else:
            outputs.append({**output, "data": array.ravel().tolist()})
    head = {"model_name": served.title, "model_version": str(served.version)}
    identity = {} if asked.identity is None else {"id": asked.identity}
    text = json.dumps({**head, **identity, "outputs": outputs}).encode()
    if not blobs:
        return {"Content-Type": "application/json"}, text
    return {"Content-Type": BINARY, LENGTH: str(len(text))}, b"".join((text, *blobs))


def _describe_binary(api: APIBlueprint, path: str) -> None:
    """Tell OpenAPI of the header, which is read by hand: a model of it would cost every request its schema."""
    operation = api.paths[path].post
    text = "bytes of JSON at the beginning of the body, where tensors follow it in binary"
    schema = {"type": "string", "pattern": "^[0-9]{1,9}$"}
    operation.parameters.append(
        Parameter.model_validate({"name": LENGTH, "in": "header", "description": text, "schema": schema})
    )
    binary = MediaType.model_validate({"schema": {"type": "string", "format": "binary"}})
    for place in (operation.requestBody, operation.responses["200"]):
        place.content = {**place.content, BINARY: binary}
