"""PUT and DELETE /v1/datasets/{name}: store a zip file of labelled pictures as a dataset, and remove it.

The server receives the zip file into a file before Flask gets the request (`shared/web/spooled_bodies.py`).
"""

import re
from pathlib import Path

from flask import Response, request
from flask_openapi3 import APIBlueprint, RequestBody

from services.gateway.context import Context
from services.gateway.routes.datasets import TAG, DatasetPath, describe_dataset
from services.gateway.routes.responses import json_response
from services.gateway.schemas.catalog import DatasetInfo
from services.gateway.scopes import TRAIN
from shared.data.dataset_states import DatasetState
from shared.data.upload_store import SETTING
from shared.errors import InvalidRequestError
from shared.names import is_name
from shared.web.spooled_bodies import IS_CONNECTED, SPOOLED_BODY, BodySpooler

RULE = "/v1/datasets/<name>"
ZIP = "application/zip"


def create_spooler(context: Context) -> BodySpooler:
    """Return what receives the zip files of uploads."""

    def check(match: re.Match[str]) -> None:
        name = match["name"]
        _check_name(name)
        context.uploads.check_name(name)

    return BodySpooler(
        "PUT",
        re.compile("/v1/datasets/(?P<name>[^/]+)"),
        "train",
        context.uploads.incoming,
        SETTING,
        context.settings.max_upload_bytes,
        check,
    )


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("dataset_uploads", __name__, abp_tags=[TAG])

    @api.put(RULE, security=TRAIN, responses={200: DatasetInfo, 201: DatasetInfo})
    def store(path: DatasetPath) -> Response:
        """Store a zip file of pictures as a dataset, or replace an uploaded one in one step.

        The zip file holds `<class>/*` or `train/<class>/*`, optionally with `test/<class>/*` and `dataset.json`. Every
        picture is decoded before the dataset becomes visible. Work that was submitted before goes on with the old
        pictures. If the client leaves before the answer, nothing is stored.
        """
        zip_file: Path = request.environ[SPOOLED_BODY]
        dataset, is_new = context.uploads.store(zip_file, path.name, request.environ[IS_CONNECTED])
        body = describe_dataset(DatasetState(path.name, dataset, None, dataset.notes))
        return json_response(body, 201 if is_new else 200)

    @api.delete(RULE, security=TRAIN, responses={204: None})
    def delete(path: DatasetPath) -> Response:
        """Delete an uploaded dataset. Its models stay, and work that was submitted before goes on."""
        context.uploads.delete(path.name)
        return Response(status=204, content_type="")

    schema = {"schema": {"type": "string", "format": "binary"}}
    api.paths["/v1/datasets/{name}"].put.requestBody = RequestBody(
        content=dict.fromkeys((ZIP, "application/octet-stream"), schema), required=True
    )
    return api


def _check_name(name: str) -> None:
    """Check a name before the zip file is received.

    Raises:
        InvalidRequestError: it is no valid name.
    """
    if not is_name(name):
        raise InvalidRequestError(
            f"the name {name[:80]!r} cannot be used: a dataset's name has 1 to 63 characters of a-z, 0-9, '_' and '-', "
            "and begins with a letter or digit"
        )
