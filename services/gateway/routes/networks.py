"""/v1/networks: the presets that can be named, and how a network is fitted to a dataset."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.schemas.catalog import Networks
from shared.data.datasets import MNIST, Dataset
from shared.errors import InvalidNetworkError, InvalidRequestError
from shared.network.description import PRESETS, Network

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


def fitted(asked: str | Network, found: Dataset) -> Network:
    """The network asked for, fitted to the dataset or found to fit.

    Raises:
        InvalidRequestError, InvalidNetworkError: there is none of that name, or it does not fit.
    """
    if isinstance(asked, str):
        if asked not in PRESETS:
            known = ", ".join(PRESETS)
            raise InvalidRequestError(f"unknown network {asked[:80]!r}: choose one of {known}, or describe one")
        return PRESETS[asked].network(found.shape, len(found.classes))
    if asked.input_shape != found.shape:
        raise InvalidNetworkError(f"input_shape {list(asked.input_shape)} is not {found.name}'s {list(found.shape)}")
    if asked.output_shape != (len(found.classes),):
        last = len(asked.layers) - 1
        raise InvalidNetworkError(
            f"layers.{last} gives {list(asked.output_shape)}, but {found.name} has {len(found.classes)} classes"
        )
    return asked
