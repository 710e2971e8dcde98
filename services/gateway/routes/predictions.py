"""/v1/predictions: pictures in, probabilities out, from one backend or several.

A picture is decoded and prepared once, here, so that every backend sees the
same bytes; then one tensor goes to all of them at once.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from aiohttp.web import BaseRequest
from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from numpy.typing import NDArray

from services.gateway.context import Context
from services.gateway.prediction.batcher import Answer, Failure, Outcome
from services.gateway.schemas.predictions import PredictionQuery, Predictions
from shared.data import images
from shared.errors import InvalidImageError, InvalidRequestError, UnavailableError
from shared.web.server import Handler

TAG = Tag(name="predictions", description="Ask the models what a picture shows")
ROUTE = "/v1/predictions"
FIELD = "image"
MAX_IMAGES = 64
DIRECT_BYTES = 4 * 2**10  # of a picture that the event loop decodes: a larger one would hold the others up
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


@dataclass(frozen=True)
class _Asked:
    query: PredictionQuery
    backends: tuple[str, ...]
    version: int
    classes: tuple[str, ...]
    names: list[str]
    pictures: list[images.PreparedPicture]
    prepare_ms: float
    begun: float

    @property
    def tensor(self) -> NDArray[np.uint8]:
        """uint8 [N, H, W, C]."""
        return np.stack([picture.pixels for picture in self.pictures])


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("predictions", __name__, abp_tags=[TAG])

    @api.post(ROUTE, responses={200: Predictions}, openapi_extensions=PICTURES)
    def predict(query: PredictionQuery) -> Response:
        """Predict 1 to 64 PNG or JPEG pictures: multipart `image`, or one as the body."""
        asked = _asked(context, query, _posted_files)
        outcomes = context.dispatcher.predict(asked.backends, query.model, asked.version, asked.tensor)
        headers, body = _answer(asked, outcomes)
        return Response(body, headers=headers)

    return api


def direct(context: Context) -> dict[str, tuple[str, Handler]]:
    """The same, on the event loop, for one small picture as the body."""

    async def predict(_: re.Match[str], request: BaseRequest, body: bytes) -> tuple[dict[str, str], bytes] | None:
        said = parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True)
        is_image = request.headers.get("Content-Type", "").startswith("image/")
        if len(body) > DIRECT_BYTES or not is_image or len(dict(said)) < len(said):
            return None
        query = PredictionQuery.model_validate(dict(said))
        if isinstance(query.version, str):  # Redis knows which one is meant
            return None
        asked = _asked(context, query, lambda: [("body", body)])
        outcomes = await context.dispatcher.ask(asked.backends, query.model, asked.version, asked.tensor)
        return _answer(asked, outcomes)

    return {ROUTE: (ROUTE, predict)}


def _asked(context: Context, query: PredictionQuery, posted: Callable[[], list[tuple[str, bytes]]]) -> _Asked:
    """What a request asks for, with its pictures as the model takes them.

    Raises:
        InvalidRequestError, InvalidImageError, NotFoundError: what is wrong with it.
    """
    begun = perf_counter()
    backends = context.choose_backends(query.backends.split(",") if query.backends is not None else None)
    version = context.addresses.resolve_version(query.model, backends, query.version)
    manifest = context.registry.manifest(query.model, backends[0], version)
    received = perf_counter()
    files = posted()
    shape, preparation = manifest.network.input_shape, manifest.prepare
    pictures = [images.prepare_picture(data, shape, name, preparation=preparation) for name, data in files]
    prepare_ms = (perf_counter() - received) * 1000 - sum(picture.decode_ms for picture in pictures)
    names = [name for name, _ in files]
    return _Asked(query, backends, version, manifest.classes, names, pictures, prepare_ms, begun)


def _answer(asked: _Asked, outcomes: dict[str, Outcome]) -> tuple[dict[str, str], bytes]:
    """Headers and JSON.

    Raises:
        UnavailableError: no backend gave an answer.
    """
    answers = {backend: answer for backend, answer in outcomes.items() if isinstance(answer, Answer)}
    failures = {backend: outcome.reason for backend, outcome in outcomes.items() if isinstance(outcome, Failure)}
    if not answers:
        raise UnavailableError("; ".join(failures.values()))
    images = []
    for index, (name, picture) in enumerate(zip(asked.names, asked.pictures, strict=True)):
        results = {
            backend: _prediction(answer.probabilities[index], asked.classes, asked.version)
            for backend, answer in answers.items()
        }
        labels = {result["label"] for result in results.values()}
        images.append(
            {
                "name": name,
                "agree": len(labels) == 1 if len(results) > 1 else None,
                "results": results,
                "warnings": list(picture.warnings),
                "prepared": _data_uri(picture) if asked.query.prepared else None,
            }
        )
    body = json.dumps({"model": asked.query.model, "images": images, "errors": failures}, separators=(",", ":"))
    decode_ms = sum(picture.decode_ms for picture in asked.pictures)
    parts = [("decode", "", decode_ms), ("prepare", "", asked.prepare_ms)]
    for backend, answer in answers.items():
        parts += [("queue", backend, answer.queue_ms), ("hop", backend, answer.hop_ms)]
        parts.append(("compute", backend, answer.compute_ms))
    parts.append(("total", "", (perf_counter() - asked.begun) * 1000))
    timing = ", ".join(
        f"{part};dur={ms:.3f}" + (f';desc="{backend}"' if backend else "") for part, backend, ms in parts
    )
    return {"Content-Type": "application/json", "Server-Timing": timing}, body.encode()


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


def _data_uri(picture: images.PreparedPicture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"


def _prediction(probabilities: np.ndarray, classes: tuple[str, ...], version: int) -> dict[str, Any]:
    label = int(probabilities.argmax())
    return {
        "label": label,
        "class": classes[label],
        "probability": float(probabilities[label]),
        "probabilities": probabilities.tolist(),
        "version": version,
    }
