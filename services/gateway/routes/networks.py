"""/v1/networks: the presets, the shapes of a network, and how a requested network is fitted to a dataset."""

from math import prod

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.responses import json_response
from services.gateway.schemas.catalog import DescribedLayer, DescribedNetwork, NetworkPreset, NetworkQuestion, Networks
from services.gateway.scopes import READ
from shared.data import datasets
from shared.data.datasets import MNIST, Dataset
from shared.errors import InvalidNetworkError, InvalidRequestError
from shared.network.description import PRESETS, Network, Preset

TAG = Tag(name="networks", description="Named networks")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("networks", __name__, abp_tags=[TAG])

    @api.get("/v1/networks", security=READ, responses={200: Networks})
    def listing() -> Response:
        """List the presets, with their layers for ten classes and their number of parameters on MNIST."""
        return json_response(Networks(networks=[_describe(name, preset) for name, preset in PRESETS.items()]))

    @api.post("/v1/networks/describe", security=READ, responses={200: DescribedNetwork})
    def describe(body: NetworkQuestion) -> Response:
        """Return the output shape and the number of parameters of each layer, or why the network does not fit."""
        return json_response(_describe_layers(fit_network(body.network, datasets.find(body.dataset, context.settings))))

    return api


def _describe_layers(network: Network) -> DescribedNetwork:
    layers = [
        DescribedLayer(
            layer=layer.model_dump(mode="json"),
            output_shape=list(output),
            parameters=sum(prod(shape) for shape in layer.parameter_shapes(taken).values()),
        )
        for layer, taken, output in zip(network.layers, network.shapes, network.shapes[1:], strict=False)
    ]
    return DescribedNetwork(input_shape=list(network.input_shape), layers=layers, parameters=network.parameter_count)


def _describe(name: str, preset: Preset) -> NetworkPreset:
    """Return a preset as it is for MNIST."""
    network = preset.network(MNIST.shape, len(MNIST.classes))
    return NetworkPreset(
        name=name,
        description=preset.description,
        layers=[layer.model_dump(mode="json") for layer in network.layers],
        parameters_on_mnist=network.parameter_count,
    )


def fit_network(asked: str | Network, dataset: Dataset) -> Network:
    """Return the requested network for a dataset.

    Args:
        asked: the name of a preset, which is built for the dataset; or a network, which has to fit the dataset.
        dataset: the dataset.

    Raises:
        InvalidRequestError: there is no such preset.
        InvalidNetworkError: the network does not fit.
    """
    if isinstance(asked, str):
        if asked not in PRESETS:
            known = ", ".join(PRESETS)
            raise InvalidRequestError(f"unknown network {asked[:80]!r}: choose one of {known}, or describe one")
        return PRESETS[asked].network(dataset.shape, len(dataset.classes))
    if asked.input_shape != dataset.shape:
        raise InvalidNetworkError(
            f"input_shape {list(asked.input_shape)} is not {dataset.name}'s {list(dataset.shape)}"
        )
    if asked.output_shape != (len(dataset.classes),):
        last = len(asked.layers) - 1
        raise InvalidNetworkError(
            f"layers.{last} gives {list(asked.output_shape)}, but {dataset.name} has {len(dataset.classes)} classes"
        )
    return asked
