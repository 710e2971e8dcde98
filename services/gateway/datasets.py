"""/v1/datasets: the data a training can name, and whether it is here."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from shared.dataset import DATASETS, is_ready
from shared.messages import Datasets

TAG = Tag(name="datasets", description="Labelled pictures")


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("datasets", __name__, abp_tags=[TAG])

    @api.get("/v1/datasets", responses={200: Datasets})
    def listing() -> dict[str, Any]:
        """Every dataset; `ready` says that its files are here and verified."""
        return {
            "datasets": [
                {
                    "name": found.name,
                    "ready": is_ready(found, context.settings),
                    "shape": found.shape,
                    "classes": found.classes,
                    "sizes": found.sizes,
                }
                for found in DATASETS.values()
            ]
        }

    return api
