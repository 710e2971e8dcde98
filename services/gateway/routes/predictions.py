"""POST /v1/predictions: images in, probabilities out, from one backend or several.

`shared/data/images.py` decodes and prepares an image once per request, so every backend gets the same bytes. One
tensor then goes to all backends at the same time.
"""

import base64
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from aiohttp import web
from flask_openapi3 import Tag
from numpy.typing import NDArray

from services.gateway.context import Context
from services.gateway.prediction.outcomes import Answer, Failure, Outcome
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.uploads import FIELD, MAX_IMAGES, Upload, read_uploads
from services.gateway.schemas.predictions import PredictionQuery, Predictions
from services.gateway.scopes import PREDICT
from shared.data import images
from shared.data.decode_budget import DecodeBudget
from shared.data.images import OpenedPicture, PreparedPicture
from shared.errors import UnavailableError
from shared.models.manifest import Manifest
from shared.web.routes import BufferedRequest, run_in_thread

TAG = Tag(name="predictions", description="Ask the models what a picture shows")
# The event loop itself decodes small pictures, because waking a thread takes longer. It opens files of at most
# LOOP_FILE_BYTES in a request: headers of larger files can take milliseconds. It decodes at most LOOP_PIXELS: those
# that the headers state, and those of the prepared images.
LOOP_FILE_BYTES = 4 * 2**10
LOOP_PIXELS = 64 * 64
LONG_PIXELS = 4_000_000  # a request with more pixels takes the thread for large pictures: others have the rest
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


@dataclass(slots=True)
class _PreparedImages:
    """The images of a request as the model takes them.

    Attributes:
        tensor: uint8 [N, H, W, C].
        pngs: each image as a PNG data URI, if the request wants them; else None for each.
        decode_ms: how long decoding took.
        prepare_ms: how long everything else took.
    """

    pictures: list[PreparedPicture]
    names: list[str]
    tensor: NDArray[np.uint8]
    pngs: list[str | None]
    decode_ms: float
    prepare_ms: float


def routes(context: Context) -> EventLoopBlueprint:
    """Return the route of this resource."""
    api = EventLoopBlueprint("predictions", __name__, abp_tags=[TAG])
    budget = DecodeBudget(shared=context.shared.pixels if context.shared else None)

    @api.post("/v1/predictions", security=PREDICT, responses={200: Predictions}, openapi_extensions=IMAGE_BODY)
    async def predict(request: BufferedRequest, query: PredictionQuery) -> web.Response:
        """Predict 1 to 64 pictures (PNG, JPEG, WebP, BMP, GIF, TIFF): multipart `image`, or one as the body."""
        started = perf_counter()
        backends = context.choose_backends(query.backends.split(",") if query.backends is not None else None)
        version, manifest = await context.addresses.find_version(query.model, backends, query.version)
        uploads = await read_uploads(request)
        opened = await _open_pictures(context, uploads, manifest)
        with budget.reserve(request.caller.key, sum(picture.work for picture in opened)):
            prepared = await _prepare_pictures(context, opened, manifest, query)
        outcomes = await context.dispatcher.predict(
            backends, query.model, version, prepared.tensor, wait_for_all=query.wait == "all"
        )
        answers = _answers_of(outcomes)
        headers = {"Content-Type": "application/json", "Server-Timing": _server_timing(prepared, answers, started)}
        return web.Response(headers=headers, body=_body(query, manifest.classes, version, prepared, outcomes, answers))

    return api


async def _open_pictures(context: Context, uploads: list[Upload], manifest: Manifest) -> list[OpenedPicture]:
    """Read the headers of the files, in a thread if they are large.

    Raises:
        InvalidImageError: one of them cannot be used; the message names it.
    """

    def open_all() -> list[OpenedPicture]:
        return [images.open_picture(file.data, file.name, preparation=manifest.prepare) for file in uploads]

    if sum(len(file.data) for file in uploads) <= LOOP_FILE_BYTES:
        return open_all()
    return await run_in_thread(context.decoders, open_all)


async def _prepare_pictures(
    context: Context, opened: list[OpenedPicture], manifest: Manifest, query: PredictionQuery
) -> _PreparedImages:
    """Decode and prepare pictures: few on the event loop, more in a thread, large or many in a thread of their own.

    Raises:
        InvalidImageError: one of them is broken; the message names it.
    """
    pixels = sum(picture.work for picture in opened)
    if pixels + len(opened) * prod(manifest.network.input_shape) <= LOOP_PIXELS:
        return _prepare(opened, manifest, query)
    is_long = pixels > LONG_PIXELS or any(picture.is_large for picture in opened)
    return await run_in_thread(
        context.large_decoder if is_long else context.decoders, _prepare, opened, manifest, query
    )


def _prepare(opened: list[OpenedPicture], manifest: Manifest, query: PredictionQuery) -> _PreparedImages:
    """Decode and prepare pictures whose headers are read."""
    started, shape = perf_counter(), manifest.network.input_shape
    pictures = [images.prepare_opened(picture, shape, manifest.prepare) for picture in opened]
    tensor = pictures[0].pixels[None] if len(pictures) == 1 else np.stack([picture.pixels for picture in pictures])
    pngs = [_data_uri(picture) if query.prepared else None for picture in pictures]
    elapsed_ms = (perf_counter() - started) * 1000 + sum(picture.open_ms for picture in opened)
    decode_ms = sum(picture.decode_ms for picture in pictures)
    names = [picture.name for picture in opened]
    return _PreparedImages(pictures, names, tensor, pngs, decode_ms, elapsed_ms - decode_ms)


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
    """Write the response, which `schemas.predictions.Predictions` describes. msgspec is faster than the schema.

    A number is the shortest one that is read back as the same double.
    """
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
                "prepared": prepared.pngs[index],
            }
        )
    errors = {backend: outcome.reason for backend, outcome in outcomes.items() if isinstance(outcome, Failure)}
    return msgspec.json.encode({"model": query.model, "images": predicted, "errors": errors})


def _prediction(probabilities: NDArray[np.float32], classes: tuple[str, ...], version: int) -> dict[str, Any]:
    label = int(probabilities.argmax())
    numbers = probabilities.tolist()
    return {
        "label": label,
        "class": classes[label],
        "probability": numbers[label],
        "probabilities": numbers,
        "version": version,
    }


def _data_uri(picture: PreparedPicture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"


def _server_timing(prepared: _PreparedImages, answers: dict[str, Answer], started: float) -> str:
    """Return the header that splits the time of a request into its parts, in milliseconds."""
    parts = [f"decode;dur={prepared.decode_ms:.3f}, prepare;dur={prepared.prepare_ms:.3f}"]
    parts += [
        f'queue;dur={answer.queue_ms:.3f};desc="{backend}", hop;dur={answer.call_ms:.3f};desc="{backend}", '
        f'compute;dur={answer.compute_ms:.3f};desc="{backend}"'
        for backend, answer in answers.items()
    ]
    parts.append(f"total;dur={(perf_counter() - started) * 1000:.3f}")
    return ", ".join(parts)
