"""TensorFlow Serving's REST API: `:predict`, and which versions are available.

A model of one backend, `article-mnist-pytorch`, is what its clients know: one
input, one output. `article-mnist` has one output per backend, and each answer
is then keyed by them, as TensorFlow Serving does with several outputs.
"""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.prediction.model_address import INPUT, ModelAddress, require_all
from services.gateway.prediction.tensors import check_shape, from_json
from services.gateway.routes.open_inference import TitlePath, TitleVersionPath
from services.gateway.routes.predictions import MAX_IMAGES
from services.gateway.routes.request_bodies import describe_body, parsed, posted
from services.gateway.schemas.protocols import ModelStatus, PredictRequest, PredictResponse
from shared.errors import InvalidRequestError

TAG = Tag(name="tensorflow serving", description="TensorFlow Serving's REST API, for either backend")
AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("tfserving", __name__, abp_tags=[TAG])

    @api.post("/v1/models/<title:name>:predict", responses={200: PredictResponse})
    def predict(path: TitlePath) -> dict[str, Any]:
        """Predict with the newest version: `instances` give `predictions`."""
        return _predict(context, context.addresses.resolve_model(path.name))

    @api.post("/v1/models/<name>/versions/<int:version>:predict", responses={200: PredictResponse})
    def predict_version(path: TitleVersionPath) -> dict[str, Any]:
        """Predict with one version."""
        return _predict(context, context.addresses.resolve_model(path.name, path.version))

    @api.get("/v1/models/<name>/versions/<int:version>", responses={200: ModelStatus})
    def status(path: TitleVersionPath) -> dict[str, Any]:
        """Whether one version is available: 404 when it is not."""
        return {"model_version_status": [_available(context.addresses.resolve_model(path.name, path.version).version)]}

    for path in ("/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict"):
        describe_body(api, path, PredictRequest)
    return api


def version_status(context: Context, title: str) -> list[dict[str, Any]]:
    """Every version that can be asked, newest first."""
    return [_available(version) for version in reversed(context.addresses.versions(title))]


def _available(version: int) -> dict[str, Any]:
    return {"version": str(version), **AVAILABLE}


def _predict(context: Context, served: ModelAddress) -> dict[str, Any]:
    with context.statistics.measure(served.title, served.version) as timed:
        data = [_picture(instance) for instance in parsed(PredictRequest, posted()).instances]
        shape = [len(data), *served.input_shape]
        check_shape(shape, served.input_shape, MAX_IMAGES)
        pictures = from_json(data, shape)
        timed.done("compute_input")
        outcomes = context.dispatcher.predict(served.backends, served.name, served.version, pictures)
        given = require_all(outcomes, len(pictures), timed)
        outputs = {output: given[backend].tolist() for output, backend in served.outputs.items()}
        if len(outputs) == 1:
            return {"predictions": next(iter(outputs.values()))}
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]}


def _picture(instance: Any) -> Any:
    """An instance may name the input."""
    if not isinstance(instance, dict):
        return instance
    if list(instance) != [INPUT]:
        raise InvalidRequestError(f"the model has one input: name it {INPUT!r}, or leave its name out")
    return instance[INPUT]
