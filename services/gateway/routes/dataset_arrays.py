"""GET /v1/datasets/{name}/arrays/{split}.safetensors: pictures and labels as arrays, as a model sees them."""

from typing import Annotated, Literal

import numpy as np
from flask import Response, make_response
from flask_openapi3 import APIBlueprint
from pydantic import Field
from safetensors.numpy import save

from services.gateway.context import Context
from services.gateway.routes.datasets import TAG, DatasetPath
from services.gateway.routes.submissions import file_of
from services.gateway.scopes import READ
from shared.data.single_pictures import SinglePictures
from shared.jobs.payloads import RequestBody

TOTAL_HEADER = "X-Total"


class ArraysPath(DatasetPath):
    """The path of one split."""

    split: Literal["train", "test"]


class ArraysQuery(RequestBody):
    """Which pictures to return. A large split is read in several requests."""

    first: Annotated[int, Field(ge=0, lt=2**31, description="index of the first picture")] = 0
    count: Annotated[int, Field(ge=1, le=100_000, description="at most; an answer has at most 32 MiB")] = 100_000


def routes(context: Context) -> APIBlueprint:
    """Return the route of this module."""
    api = APIBlueprint("dataset_arrays", __name__, abp_tags=[TAG])
    pictures = SinglePictures(context.settings)

    @api.get(
        "/v1/datasets/<name>/arrays/<split>.safetensors",
        security=READ,
        responses=file_of(
            "application/octet-stream",
            "a safetensors file with `images`, uint8 [N, H, W, C], and `labels`, int64 [N]. The header X-Total says "
            "how many pictures the split has",
        ),
    )
    def arrays(path: ArraysPath, query: ArraysQuery) -> Response:
        """Return the pictures of a split and their labels as a safetensors file, from the picture `first` on."""
        found, total = pictures.read_range(path.name, path.split, query.first, query.count)
        content = save({"images": np.ascontiguousarray(found.images), "labels": found.labels})
        response = make_response(content)
        response.mimetype = "application/octet-stream"
        response.headers[TOTAL_HEADER] = str(total)
        response.headers["Cache-Control"] = "private, no-cache"  # a dataset can be replaced at any time
        response.headers["Content-Disposition"] = f'attachment; filename="{path.name}-{path.split}.safetensors"'
        return response

    return api
