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
from shared.data.dataset_states import DatasetState, list_states
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
        """List every dataset, including your own. `problem` says why a training would be refused."""
        return json_response(Datasets(datasets=[describe_dataset(state) for state in list_states(context.settings)]))

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


def describe_dataset(state: DatasetState) -> DatasetInfo:
    """Describe a dataset, or the problem with a user's folder."""
    dataset = state.dataset
    upload = dataset.upload if dataset else None
    return DatasetInfo(
        name=state.name,
        source="built-in" if state.name in datasets.DATASETS else "upload" if upload else "folder",
        ready=state.problem is None,
        shape=list(dataset.shape) if dataset else [],
        classes=list(dataset.classes) if dataset else [],
        sizes={**dataset.sizes} if dataset else {},
        prepare=dataset.preparation if dataset else None,
        problem=state.problem,
        notes=list(state.notes),
        version=upload.version if upload else None,
        stored_bytes=upload.stored_bytes if upload else None,
        uploaded_at=upload.uploaded_at if upload else None,
    )
