"""/v1/predictions: pictures in, probabilities out, from one backend or several.

A picture is decoded and prepared once, here, so that every backend sees the
same bytes; then one tensor goes to all of them at once.
"""

import base64
from time import perf_counter
from typing import Any

import numpy as np
from flask import Response, make_response, request
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.line import Answer, Failure
from shared import image
from shared.errors import InvalidImageError, InvalidRequestError, UnavailableError
from shared.messages import PredictionQuery, Predictions

TAG = Tag(name="predictions", description="Ask the models what a picture shows")
FIELD = "image"
MAX_IMAGES = 64
PICTURES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": MAX_IMAGES,
                        }
                    },
                    "required": [FIELD],
                }
            },
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("predictions", __name__, abp_tags=[TAG])

    @api.post("/v1/predictions", responses={200: Predictions}, openapi_extensions=PICTURES)
    def predict(query: PredictionQuery) -> Response:
        """Predict 1 to 64 PNG or JPEG pictures: multipart `image`, or one as the body."""
        begun = perf_counter()
        asked = query.backends.split(",") if query.backends is not None else None
        backends = context.choose_backends(asked)
        version = context.resolve(query.model, backends, query.version)
        manifest = context.store.manifest(query.model, backends[0], version)

        received = perf_counter()
        files = _posted_files()
        shape = tuple(manifest["network"]["input_shape"])
        preparation = manifest.get("prepare", "resize")
        pictures = [image.prepare(data, shape, name, preparation=preparation) for name, data in files]
        decode_ms = sum(picture.decode_ms for picture in pictures)
        prepare_ms = (perf_counter() - received) * 1000 - decode_ms

        tensor = np.stack([picture.pixels for picture in pictures])
        outcomes = context.predictors.predict(backends, query.model, version, tensor)
        answers = {backend: answer for backend, answer in outcomes.items() if isinstance(answer, Answer)}
        failures = {backend: outcome.reason for backend, outcome in outcomes.items() if isinstance(outcome, Failure)}
        if not answers:
            raise UnavailableError("; ".join(failures.values()))

        images = []
        for index, ((name, _), picture) in enumerate(zip(files, pictures, strict=True)):
            results = {
                backend: _prediction(answer.probabilities[index], manifest["classes"], version)
                for backend, answer in answers.items()
            }
            labels = {result["label"] for result in results.values()}
            images.append(
                {
                    "name": name,
                    "agree": len(labels) == 1 if len(results) > 1 else None,
                    "results": results,
                    "warnings": list(picture.warnings),
                    "prepared": _data_uri(picture) if query.prepared else None,
                }
            )
        response = make_response({"model": query.model, "images": images, "errors": failures})
        parts = [("decode", "", decode_ms), ("prepare", "", prepare_ms)]
        for backend, answer in answers.items():
            parts += [("queue", backend, answer.queue_ms), ("hop", backend, answer.hop_ms)]
            parts.append(("compute", backend, answer.compute_ms))
        parts.append(("total", "", (perf_counter() - begun) * 1000))
        response.headers["Server-Timing"] = ", ".join(
            f"{part};dur={ms:.3f}" + (f';desc="{backend}"' if backend else "") for part, backend, ms in parts
        )
        return response

    return api


def _posted_files() -> list[tuple[str, bytes]]:
    """The posted pictures, as (file name, bytes), in their order.

    Raises:
        InvalidRequestError: none, or too many.
    """
    if request.mimetype == "multipart/form-data":
        uploads = request.files.getlist(FIELD)
        if not uploads:
            raise InvalidImageError(f"no picture was posted: send one or more multipart fields named {FIELD!r}")
        if len(uploads) > MAX_IMAGES:
            raise InvalidRequestError(f"{len(uploads)} pictures are more than {MAX_IMAGES}: send several requests")
        return [(upload.filename or f"{FIELD} {number}", upload.read()) for number, upload in enumerate(uploads, 1)]
    return [("body", request.get_data(cache=False))]


def _data_uri(picture: image.Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"


def _prediction(probabilities: np.ndarray, classes: list[str], version: int) -> dict[str, Any]:
    label = int(probabilities.argmax())
    return {
        "label": label,
        "class": classes[label],
        "probability": float(probabilities[label]),
        "probabilities": probabilities.tolist(),
        "version": version,
    }
