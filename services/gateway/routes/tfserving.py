"""TensorFlow Serving's REST API: `:predict`, metadata, and which versions are available.

Its clients know models with one input and one output, such as `article-mnist-pytorch`. `article-mnist` has one output
per backend, and each prediction is then an object with one entry per output, as in TensorFlow Serving.
"""

import json
from typing import Any, Literal, NamedTuple

import numpy as np
from aiohttp import web
from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from numpy.typing import NDArray

from services.gateway.context import Context
from services.gateway.prediction.model_address import INPUT, ModelAddress, require_all
from services.gateway.prediction.tensors import check_shape, images_from_json
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.open_inference import LOOP_BYTES, TitlePath, TitleVersionPath
from services.gateway.routes.request_bodies import describe_body, parse_json
from services.gateway.routes.responses import json_response
from services.gateway.routes.uploads import MAX_IMAGES
from services.gateway.schemas.tensorflow_serving import (
    MODEL_SIGNATURE,
    ModelSpec,
    ModelStatus,
    PredictRequest,
    PredictResponse,
    ServingMetadata,
    Signature,
    SignatureAxis,
    SignatureMetadata,
    Signatures,
    SignatureShape,
    SignatureTensor,
    VersionError,
    VersionStatus,
)
from services.gateway.scopes import PREDICT, READ_OR_PREDICT
from shared.errors import InvalidRequestError
from shared.models.versions import Alias
from shared.web.routes import BufferedRequest, run_in_thread

TAG = Tag(name="tensorflow serving", description="TensorFlow Serving's REST API, for either backend")
NO_ERROR = VersionError(error_code="OK", error_message="")  # the same object for thousands of versions


class TitleLabelPath(TitlePath):
    """A title and a label in a path. A label is what Tandem calls an alias."""

    label: Alias


class _ParsedRequest(NamedTuple):
    """A request that fits the model.

    Attributes:
        images: uint8 [N, H, W, C].
        is_columnar: whether the request has `inputs`; its response then has `outputs`.
    """

    images: NDArray[np.uint8]
    is_columnar: bool


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this protocol. The event loop answers the POST routes, and Flask the others."""
    api = EventLoopBlueprint("tfserving", __name__, abp_tags=[TAG])

    async def answer(request: BufferedRequest, title: str, version: int | Alias | None = None) -> web.Response:
        address = await context.addresses.find_model(title, version)
        with context.statistics.measure(address.title, address.version) as timed:
            if len(request.body) <= LOOP_BYTES:
                parsed = _parse(address, request.body)
            else:
                parsed = await run_in_thread(None, _parse, address, request.body)
            timed.mark("compute_input")
            outcomes = await context.dispatcher.predict(address.backends, address.name, address.version, parsed.images)
            return _respond(address, require_all(outcomes, len(parsed.images), timed), is_columnar=parsed.is_columnar)

    @api.post("/v1/models/<title:name>:predict", security=PREDICT, responses={200: PredictResponse})
    async def predict(request: BufferedRequest, path: TitlePath) -> web.Response:
        """Predict with the newest version: `instances` give `predictions`, and `inputs` give `outputs`."""
        return await answer(request, path.name)

    @api.post("/v1/models/<name>/versions/<int:version>:predict", security=PREDICT, responses={200: PredictResponse})
    async def predict_version(request: BufferedRequest, path: TitleVersionPath) -> web.Response:
        """Predict with one version."""
        return await answer(request, path.name, path.version)

    @api.post("/v1/models/<name>/labels/<title:label>:predict", security=PREDICT, responses={200: PredictResponse})
    async def predict_label(request: BufferedRequest, path: TitleLabelPath) -> web.Response:
        """Predict with the version that the alias `stable` means."""
        return await answer(request, path.name, path.label)

    @api.get("/v1/models/<name>/versions/<int:version>", security=READ_OR_PREDICT, responses={200: ModelStatus})
    def status(path: TitleVersionPath) -> Response:
        """Whether one version is available: 404 when it is not."""
        version = context.addresses.resolve_model(path.name, path.version).version
        return json_response(ModelStatus(model_version_status=[_available(version)]))

    @api.get("/v1/models/<name>/labels/<label>", security=READ_OR_PREDICT, responses={200: ModelStatus})
    def label_status(path: TitleLabelPath) -> Response:
        """Whether the version that the alias `stable` means is available."""
        version = context.addresses.resolve_model(path.name, path.label).version
        return json_response(ModelStatus(model_version_status=[_available(version)]))

    @api.get("/v1/models/<name>/metadata", security=READ_OR_PREDICT, responses={200: ServingMetadata})
    def metadata(path: TitlePath) -> Response:
        """The inputs and outputs of the newest version."""
        return json_response(_metadata(context.addresses.resolve_model(path.name)))

    @api.get(
        "/v1/models/<name>/versions/<int:version>/metadata", security=READ_OR_PREDICT, responses={200: ServingMetadata}
    )
    def version_metadata(path: TitleVersionPath) -> Response:
        """The inputs and outputs of one version."""
        return json_response(_metadata(context.addresses.resolve_model(path.name, path.version)))

    @api.get("/v1/models/<name>/labels/<label>/metadata", security=READ_OR_PREDICT, responses={200: ServingMetadata})
    def label_metadata(path: TitleLabelPath) -> Response:
        """The inputs and outputs of the version that the alias `stable` means."""
        return json_response(_metadata(context.addresses.resolve_model(path.name, path.label)))

    for place in ("", "/versions/{version}", "/labels/{label}"):
        describe_body(api, f"/v1/models/{{name}}{place}:predict", PredictRequest)
    return api


def version_status(context: Context, title: str) -> list[VersionStatus]:
    """Return the versions of a title, newest first. A version that exists is available."""
    return [_available(version) for version in reversed(context.addresses.versions(title))]


def _available(version: int) -> VersionStatus:
    return VersionStatus(version=str(version), state="AVAILABLE", status=NO_ERROR)


def _metadata(address: ModelAddress) -> ServingMetadata:
    outputs = {name: _tensor(name, "DT_FLOAT", address.classes) for name in address.outputs}
    signature = Signature(inputs={INPUT: _tensor(INPUT, "DT_UINT8", *address.input_shape)}, outputs=outputs)
    return ServingMetadata(
        model_spec=ModelSpec(name=address.title, version=str(address.version)),
        metadata=SignatureMetadata(signature_def=Signatures(signature_def={MODEL_SIGNATURE: signature})),
    )


def _tensor(name: str, dtype: Literal["DT_UINT8", "DT_FLOAT"], *shape: int) -> SignatureTensor:
    """Describe a tensor of N values of a shape."""
    dimensions = [SignatureAxis(size=str(size)) for size in (-1, *shape)]
    return SignatureTensor(dtype=dtype, tensor_shape=SignatureShape(dim=dimensions), name=f"{name}:0")


def _parse(address: ModelAddress, body: bytes) -> _ParsedRequest:
    """Parse a body, and check it against the model.

    Raises:
        BadRequest, RequestEntityTooLarge: the body is not JSON, or too large.
        InvalidRequestError: the pictures do not fit the model.
    """
    request = parse_json(PredictRequest, body)
    if (request.instances is None) == (request.inputs is None):
        raise InvalidRequestError("send either instances (one entry per picture) or inputs (all pictures in one list)")
    if request.instances is not None:
        data = [_image_of(instance) for instance in request.instances]
    else:
        data = _image_of(request.inputs)
        if not isinstance(data, list):
            raise InvalidRequestError(f"inputs: {INPUT!r} must be a list of pictures")
    shape = [len(data), *address.input_shape]
    check_shape(shape, address.input_shape, MAX_IMAGES)
    return _ParsedRequest(images_from_json(data, shape), request.inputs is not None)


def _image_of(value: Any) -> Any:
    """Return what an instance, or all inputs, hold for the model's input: the value itself, or its member `image`.

    Raises:
        InvalidRequestError: an object has no such member, or holds a picture file in Base64.
    """
    if not isinstance(value, dict):
        return value
    held = value.get(INPUT, value)
    if isinstance(held, dict) and "b64" in held:
        raise InvalidRequestError("picture files are not decoded here: post them to /v1/predictions, or send pixels")
    if INPUT not in value:
        raise InvalidRequestError(f"the model has one input: name it {INPUT!r}, or leave its name out")
    return held


def _respond(
    address: ModelAddress, probabilities: dict[str, NDArray[np.float32]], *, is_columnar: bool
) -> web.Response:
    """Return the probabilities in rows or in columns. The only output of a model is not named."""
    outputs = {output: probabilities[backend].tolist() for output, backend in address.outputs.items()}
    only = next(iter(outputs.values())) if len(outputs) == 1 else None
    body: dict[str, object]
    if is_columnar:
        body = {"outputs": only or outputs}
    else:
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
        body = {"predictions": only or rows}
    return web.Response(headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())
