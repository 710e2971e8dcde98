"""/v1/datasets: the data a training can name, whether it is here, and what it looks like."""

from typing import Annotated, Any

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from services.gateway.context import Context
from services.gateway.reports.plots import samples_png
from services.gateway.routes.submissions import file_of
from services.gateway.schemas.catalog import Datasets
from shared.data import datasets
from shared.errors import InvalidDatasetError
from shared.jobs.payloads import RequestBody

TAG = Tag(name="datasets", description="Labelled pictures")


class DatasetPath(BaseModel):
    name: Annotated[str, Field(max_length=255)]


class SamplesQuery(RequestBody):
    count: Annotated[int, Field(ge=1, le=100)] = 20


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("datasets", __name__, abp_tags=[TAG])

    @api.get("/v1/datasets", responses={200: Datasets})
    def listing() -> dict[str, Any]:
        """Every dataset, one's own included; `problem` says why one cannot be used."""
        return {"datasets": [_entry(context, name) for name in datasets.names(context.settings)]}

    @api.get("/v1/datasets/<name>/samples.png", responses=file_of("image/png", "a figure"))
    def samples(path: DatasetPath, query: SamplesQuery) -> Response:
        """The first training pictures with their labels, as one figure."""
        found = datasets.find(path.name, context.settings)
        context.require_data(found)
        split = datasets.read(found, "train", context.settings, query.count)
        response = make_response(samples_png(split, found.classes))
        response.headers["Content-Type"] = "image/png"
        return response

    return api


def _entry(context: Context, name: str) -> dict[str, Any]:
    try:
        found = datasets.find(name, context.settings)
    except InvalidDatasetError as error:
        unknown: dict[str, Any] = {"ready": False, "shape": [], "classes": [], "sizes": {}, "prepare": None}
        return {"name": name, **unknown, "problem": str(error)}
    return {
        "name": found.name,
        "ready": datasets.is_ready(found, context.settings),
        "shape": found.shape,
        "classes": found.classes,
        "sizes": found.sizes,
        "prepare": found.preparation,
        "problem": None,
    }
