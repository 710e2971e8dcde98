"""GET /v1/datasets/{name}/pictures/{split}/{index}.png: one picture of a dataset, as a model sees it."""

import hashlib
from typing import Annotated, Literal

from flask import Response, request
from flask_openapi3 import APIBlueprint
from pydantic import Field

from services.gateway.context import Context
from services.gateway.routes.datasets import TAG, DatasetPath
from services.gateway.routes.submissions import file_of
from services.gateway.scopes import READ
from shared.data.images import PreparedPicture
from shared.data.single_pictures import SinglePictures

LABEL_HEADER = "X-Label"


class PicturePath(DatasetPath):
    """The path of one picture."""

    split: Literal["train", "test"]
    index: Annotated[int, Field(ge=0, lt=2**31, description="from 0; `sizes` in the listing says how many there are")]


def routes(context: Context) -> APIBlueprint:
    """Return the route of this module."""
    api = APIBlueprint("dataset_pictures", __name__, abp_tags=[TAG])
    pictures = SinglePictures(context.settings)

    @api.get(
        "/v1/datasets/<name>/pictures/<split>/<int:index>.png",
        security=READ,
        responses=file_of("image/png", "a picture; the header X-Label is the index of its class"),
    )
    def picture(path: PicturePath) -> Response:
        """Return one picture in the dataset's shape, unscaled. The header `X-Label` is the index of its class.

        A client may keep the picture, and ask with `If-None-Match` whether it has changed.
        """
        pixels, label = pictures.read(path.name, path.split, path.index)
        content = PreparedPicture(pixels).png()
        response = Response(content, mimetype="image/png")
        response.headers[LABEL_HEADER] = str(label)
        response.headers["Cache-Control"] = "private, no-cache"  # a dataset can be replaced at any time
        response.set_etag(hashlib.sha256(content + bytes((label % 256,))).hexdigest()[:32])
        response.make_conditional(request.environ)
        return response

    return api
