"""POST /v1/predictions: images in, probabilities out, from one backend or several.

`shared/data/images.py` decodes and prepares an image once per request, so every backend gets the same bytes. One
tensor then goes to all backends at the same time.
"""

import base64
import json
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from aiohttp import web
from flask_openapi3 import Tag
from numpy.typing import NDArray

from services.gateway.context import Context
from services.gateway.prediction.batcher import Answer, Failure, Outcome
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.uploads import FIELD, MAX_IMAGES, Upload, read_uploads
from services.gateway.schemas.predictions import PredictionQuery, Predictions
from shared.data import images
from shared.data.images import OpenedPicture, PreparedPicture
from shared.errors import UnavailableError
from shared.models.manifest import Manifest
from shared.web.server import BufferedRequest, run_in_thread

TAG = Tag(name="predictions", description="Ask the models what a picture shows")
# The event loop itself decodes up to LOOP_PIXELS, in all images of a request and by their headers: more can take many
# milliseconds. It reads the headers of files up to LOOP_FILE_BYTES: a larger file may have a header of megabytes.
LOOP_PIXELS = 64 * 64
LOOP_FILE_BYTES = 64 * 2**10
IMAGE_BODY = {
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


@dataclass(frozen=True)
class _PreparedImages:
    """The images of a request as the model takes them, and how long decoding and preparing took."""

    names: list[str]
    pictures: list[PreparedPicture]
    decode_ms: float
    prepare_ms: float

    @property
    def tensor(self) -> NDArray[np.uint8]:
        """uint8 [N, H, W, C]."""
        return np.stack([picture.pixels for picture in self.pictures])


def routes(context: Context) -> EventLoopBlueprint:
    """Return the route of this resource."""
    api = EventLoopBlueprint("predictions", __name__, abp_tags=[TAG])

    @api.post("/v1/predictions", responses={200: Predictions}, openapi_extensions=IMAGE_BODY)
    async def predict(request: BufferedRequest, query: PredictionQuery) -> web.Response:
        """Predict 1 to 64 pictures (PNG, JPEG, WebP or BMP): multipart `image`, or one as the body."""
        started = perf_counter()
        backends = context.choose_backends(query.backends.split(",") if query.backends is not None else None)
        version, manifest = await _find_model(context, query, backends)
        uploads = await read_uploads(request)
        prepared = await _prepare_images(context, uploads, manifest)
        outcomes = await context.dispatcher.predict(backends, query.model, version, prepared.tensor)
        answers = _answers_of(outcomes)
        headers = {"Content-Type": "application/json", "Server-Timing": _server_timing(prepared, answers, started)}
        return web.Response(headers=headers, body=_body(query, manifest.classes, version, prepared, outcomes, answers))

    return api


async def _find_model(context: Context, query: PredictionQuery, backends: tuple[str, ...]) -> tuple[int, Manifest]:
    """Return the version that a query means, and its manifest. Files that were not read before are read in a thread."""
    return await context.addresses.find_version(query.model, backends, query.version)


async def _prepare_images(context: Context, uploads: list[Upload], manifest: Manifest) -> _PreparedImages:
    """Decode and prepare images: on the event loop if they are small, else in a thread of `context.decoders`.

    They are small if all files together have at most LOOP_FILE_BYTES, and all pictures at most LOOP_PIXELS.

    Raises:
        InvalidImageError: one of them cannot be used; the message names it.
    """
    if sum(len(upload.data) for upload in uploads) > LOOP_FILE_BYTES:
        return await run_in_thread(context.decoders, _open_and_prepare, uploads, manifest)
    opened = [images.open_picture(upload.data, upload.name) for upload in uploads]
    if sum(picture.pixels for picture in opened) > LOOP_PIXELS:
        return await run_in_thread(context.decoders, _prepare, opened, manifest)
    return _prepare(opened, manifest)


def _open_and_prepare(uploads: list[Upload], manifest: Manifest) -> _PreparedImages:
    """Do everything in a thread, because the files are large."""
    return _prepare([images.open_picture(upload.data, upload.name) for upload in uploads], manifest)


def _prepare(opened: list[OpenedPicture], manifest: Manifest) -> _PreparedImages:
    """Decode and prepare pictures whose headers are read."""
    started, shape = perf_counter(), manifest.network.input_shape
    pictures = [images.prepare_opened(picture, shape, manifest.prepare) for picture in opened]
    elapsed_ms = (perf_counter() - started) * 1000 + sum(picture.open_ms for picture in opened)
    decode_ms = sum(picture.decode_ms for picture in pictures)
    return _PreparedImages([picture.name for picture in opened], pictures, decode_ms, elapsed_ms - decode_ms)


def _answers_of(outcomes: dict[str, Outcome]) -> dict[str, Answer]:
    """Return the answers by backend.

    Raises:
        UnavailableError: no backend gave an answer.
    """
    answers = {backend: outcome for backend, outcome in outcomes.items() if isinstance(outcome, Answer)}
    if not answers:
        raise UnavailableError(
            "; ".join(outcome.reason for outcome in outcomes.values() if isinstance(outcome, Failure))
        )
    return answers


def _body(
    query: PredictionQuery,
    classes: tuple[str, ...],
    version: int,
    prepared: _PreparedImages,
    outcomes: dict[str, Outcome],
    answers: dict[str, Answer],
) -> bytes:
    """Write the response, which `schemas.predictions.Predictions` describes. json.dumps is faster than the schema."""
    predicted = []
    for index, (name, picture) in enumerate(zip(prepared.names, prepared.pictures, strict=True)):
        results = {
            backend: _prediction(answer.probabilities[index], classes, version) for backend, answer in answers.items()
        }
        labels = {result["label"] for result in results.values()}
        predicted.append(
            {
                "name": name,
                "agree": len(labels) == 1 if len(results) > 1 else None,
                "results": results,
                "warnings": list(picture.warnings),
                "prepared": _data_uri(picture) if query.prepared else None,
            }
        )
    errors = {backend: outcome.reason for backend, outcome in outcomes.items() if isinstance(outcome, Failure)}
    return json.dumps({"model": query.model, "images": predicted, "errors": errors}, separators=(",", ":")).encode()


def _prediction(probabilities: NDArray[np.float32], classes: tuple[str, ...], version: int) -> dict[str, Any]:
    label = int(probabilities.argmax())
    return {
        "label": label,
        "class": classes[label],
        "probability": float(probabilities[label]),
        "probabilities": probabilities.tolist(),
        "version": version,
    }


def _data_uri(picture: PreparedPicture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"


def _server_timing(prepared: _PreparedImages, answers: dict[str, Answer], started: float) -> str:
    """Return the header that splits the time of a request into its parts, in milliseconds."""
    parts = [("decode", "", prepared.decode_ms), ("prepare", "", prepared.prepare_ms)]
    for backend, answer in answers.items():
        parts += [("queue", backend, answer.queue_ms), ("hop", backend, answer.call_ms)]
        parts.append(("compute", backend, answer.compute_ms))
    parts.append(("total", "", (perf_counter() - started) * 1000))
    return ", ".join(f"{part};dur={ms:.3f}" + (f';desc="{backend}"' if backend else "") for part, backend, ms in parts)
