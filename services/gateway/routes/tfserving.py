"""TensorFlow Serving's REST API: `:predict`, and which versions are available.

Its clients know models with one input and one output, such as `article-mnist-pytorch`. `article-mnist` has one output
per backend, and each prediction is then an object with one entry per output, as in TensorFlow Serving.
"""

import json
from typing import Any

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
from services.gateway.schemas.protocols import ModelStatus, PredictRequest, PredictResponse, VersionError, VersionStatus
from services.gateway.scopes import PREDICT, READ_OR_PREDICT
from shared.errors import InvalidRequestError
from shared.models.versions import Alias
from shared.web.routes import BufferedRequest, run_in_thread

TAG = Tag(name="tensorflow serving", description="TensorFlow Serving's REST API, for either backend")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this protocol. The event loop answers the POST routes, and Flask the others."""
    api = EventLoopBlueprint("tfserving", __name__, abp_tags=[TAG])

    async def answer(request: BufferedRequest, title: str, version: int | Alias | None = None) -> web.Response:
        address = await context.addresses.find_model(title, version)
        with context.statistics.measure(address.title, address.version) as timed:
            if len(request.body) <= LOOP_BYTES:
                images = _parse(address, request.body)
            else:
                images = await run_in_thread(None, _parse, address, request.body)
            timed.mark("compute_input")
            outcomes = await context.dispatcher.predict(address.backends, address.name, address.version, images)
            return _respond(address, require_all(outcomes, len(images), timed))

    @api.post("/v1/models/<title:name>:predict", security=PREDICT, responses={200: PredictResponse})
    async def predict(request: BufferedRequest, path: TitlePath) -> web.Response:
        """Predict with the newest version: `instances` give `predictions`."""
        return await answer(request, path.name)

    @api.post("/v1/models/<name>/versions/<int:version>:predict", security=PREDICT, responses={200: PredictResponse})
    async def predict_version(request: BufferedRequest, path: TitleVersionPath) -> web.Response:
        """Predict with one version."""
        return await answer(request, path.name, path.version)

    @api.get("/v1/models/<name>/versions/<int:version>", security=READ_OR_PREDICT, responses={200: ModelStatus})
    def status(path: TitleVersionPath) -> Response:
        """Whether one version is available: 404 when it is not."""
        version = context.addresses.resolve_model(path.name, path.version).version
        return json_response(ModelStatus(model_version_status=[_available(version)]))

    for path in ("/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict"):
        describe_body(api, path, PredictRequest)
    return api


def version_status(context: Context, title: str) -> list[VersionStatus]:
    """Return the versions of a title, newest first. A version that exists is available."""
    return [_available(version) for version in reversed(context.addresses.versions(title))]


def _available(version: int) -> VersionStatus:
    status = VersionError(error_code="OK", error_message="")
    return VersionStatus(version=str(version), state="AVAILABLE", status=status)


def _parse(address: ModelAddress, body: bytes) -> NDArray[np.uint8]:
    """Return the images of a body, uint8 [N, H, W, C].

    Raises:
        BadRequest, RequestEntityTooLarge: the body is not JSON, or too large.
        InvalidRequestError: the instances do not fit the model.
    """
    data = [_image_of(instance) for instance in parse_json(PredictRequest, body).instances]
    shape = [len(data), *address.input_shape]
    check_shape(shape, address.input_shape, MAX_IMAGES)
    return images_from_json(data, shape)


def _image_of(instance: Any) -> Any:
    """Return an instance's image; an instance may be `{"image": image}`."""
    if not isinstance(instance, dict):
        return instance
    if list(instance) != [INPUT]:
        raise InvalidRequestError(f"the model has one input: name it {INPUT!r}, or leave its name out")
    return instance[INPUT]


def _respond(address: ModelAddress, probabilities: dict[str, NDArray[np.float32]]) -> web.Response:
    """Return one prediction per image: a list of probabilities, or an object of lists if there are several outputs."""
    outputs = {output: probabilities[backend].tolist() for output, backend in address.outputs.items()}
    if len(outputs) == 1:
        predictions = next(iter(outputs.values()))
    else:
        predictions = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return web.Response(
        headers={"Content-Type": "application/json"}, body=json.dumps({"predictions": predictions}).encode()
    )
