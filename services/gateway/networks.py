"""/v1/networks: the presets a training can name."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from shared.dataset import MNIST
from shared.messages import Networks
from shared.network import PRESETS

TAG = Tag(name="networks", description="Named networks")


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("networks", __name__, abp_tags=[TAG])

    @api.get("/v1/networks", responses={200: Networks})
    def listing() -> dict[str, Any]:
        """The presets, with their layers for ten classes and their size on MNIST."""
        on_mnist = {name: preset.network(MNIST.shape, len(MNIST.classes)) for name, preset in PRESETS.items()}
        return {
            "networks": [
                {
                    "name": name,
                    "description": PRESETS[name].description,
                    "layers": [layer.model_dump(mode="json") for layer in network.layers],
                    "parameters_on_mnist": network.parameter_count,
                }
                for name, network in on_mnist.items()
            ]
        }

    return api
