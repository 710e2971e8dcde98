"""/v1/datasets: which datasets a training can name, whether they are on this machine, and what they look like."""

from typing import Annotated

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from services.gateway.context import Context
from services.gateway.reports.plots import samples_png
from services.gateway.routes.path_values import DatasetName
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import file_of
from services.gateway.schemas.catalog import DatasetInfo, Datasets
from services.gateway.scopes import READ
from shared.data import datasets
from shared.errors import InvalidDatasetError
from shared.jobs.payloads import RequestBody

TAG = Tag(name="datasets", description="Labelled pictures")


class DatasetPath(BaseModel):
    """The path of one dataset."""

    name: DatasetName


class SamplesQuery(RequestBody):
    """How many training pictures to draw, from the first one on."""

    count: Annotated[int, Field(ge=1, le=100)] = 20


def routes(context: Context) -> APIBlueprint:
    """Return the routes under /v1/datasets."""
    api = APIBlueprint("datasets", __name__, abp_tags=[TAG])

    @api.get("/v1/datasets", security=READ, responses={200: Datasets})
    def listing() -> Response:
        """Every dataset, including your own. `problem` says why a dataset cannot be used."""
        body = Datasets(datasets=[_dataset_info(context, name) for name in datasets.names(context.settings)])
        return json_response(body)

    @api.get("/v1/datasets/<name>/samples.png", security=READ, responses=file_of("image/png", "a figure"))
    def samples(path: DatasetPath, query: SamplesQuery) -> Response:
        """The first training pictures with their labels, as one figure."""
        dataset = datasets.find(path.name, context.settings)
        context.require_data(dataset)
        split = datasets.read(dataset, "train", context.settings, query.count)
        response = make_response(samples_png(split, dataset.classes))
        response.headers["Content-Type"] = "image/png"
        return response

    return api


def _dataset_info(context: Context, name: str) -> DatasetInfo:
    """Describe a dataset, or the problem with a user's folder."""
    try:
        dataset = datasets.find(name, context.settings)
    except InvalidDatasetError as error:
        return DatasetInfo(name=name, ready=False, shape=[], classes=[], sizes={}, prepare=None, problem=str(error))
    return DatasetInfo(
        name=dataset.name,
        ready=datasets.is_ready(dataset, context.settings),
        shape=list(dataset.shape),
        classes=list(dataset.classes),
        sizes={**dataset.sizes},
        prepare=dataset.preparation,
        problem=None,
    )
