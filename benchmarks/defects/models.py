"""Versions that are published with a defect: slow models, weights that are no numbers, damaged files."""

import dataclasses
from collections.abc import Callable

import numpy as np

from shared.models.manifest import Manifest, ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS, ModelRegistry
from shared.network.description import Network
from shared.network.weights import Weights


@dataclasses.dataclass(frozen=True)
class Published:
    """A version that is copied with a change.

    Attributes:
        registry: the model volume.
        name: the model.
        source: the good version.
        version: the number of the copy.
        backends: those that have the source.
    """

    registry: ModelRegistry
    name: str
    source: int
    version: int
    backends: tuple[str, ...]


Plant = Callable[[Published], None]


def plant_slow(layers: int, channels: int) -> Plant:
    """Return a plant: many convolutions that change nothing come before the good network.

    Args:
        layers: how many.
        channels: of each.
    """

    def plant(target: Published) -> None:
        for backend in target.backends:
            good = target.registry.verify(target.name, backend, target.source)
            _publish(target, good.manifest, *_prepend(good.manifest.network, good.weights, layers, channels))

    return plant


def _prepend(network: Network, weights: Weights, layers: int, channels: int) -> tuple[Network, Weights]:
    """Return a network with convolutions in front that pass the first channel on, and the last one drops the others."""
    added: dict[str, np.ndarray] = {}
    described = []
    depth = network.input_shape[2]
    for index in range(layers):
        width = channels if index + 1 < layers else network.input_shape[2]
        kernel = np.zeros((3, 3, depth, width), np.float32)
        kernel[1, 1, 0, 0] = 1
        added[f"layers.{index}.kernel"], added[f"layers.{index}.bias"] = kernel, np.zeros(width, np.float32)
        described.append({"kind": "conv2d", "filters": width, "kernel_size": 3, "padding": "same"})
        depth = width
    moved = {_move(name, layers): array for name, array in weights.items()}
    rest = network.model_dump(mode="json")["layers"]
    return Network.model_validate(
        {"input_shape": list(network.input_shape), "layers": [*described, *rest]}
    ), added | moved


def _move(name: str, by: int) -> str:
    _, index, rest = name.split(".", 2)
    return f"layers.{int(index) + by}.{rest}"


def plant_nan(share: float, *, in_all_backends: bool) -> Plant:
    """Return a plant: a share of the weights are no numbers."""

    def plant(target: Published) -> None:
        for place, backend in enumerate(target.backends):
            good = target.registry.verify(target.name, backend, target.source)
            weights = {name: array.copy() for name, array in good.weights.items()}
            if in_all_backends or place == 0:
                for array in weights.values():
                    array.ravel()[: max(1, round(share * array.size))] = np.nan
            _publish(target, good.manifest, good.manifest.network, weights)

    return plant


def plant_damage(damage: Callable[[bytes], bytes], file: str = WEIGHTS) -> Plant:
    """Return a plant: a file of the last backend's model is damaged after its publication."""

    def plant(target: Published) -> None:
        for backend in target.backends:
            good = target.registry.verify(target.name, backend, target.source)
            _publish(target, good.manifest, good.manifest.network, good.weights)
        path = target.registry.path(target.name, target.backends[-1], target.version) / file
        path.write_bytes(damage(path.read_bytes()))

    return plant


def plant_other_weights(target: Published) -> None:
    """Publish other weights than those whose golden predictions are in the manifest, in one backend."""
    for place, backend in enumerate(target.backends):
        good = target.registry.verify(target.name, backend, target.source)
        weights = {name: array if place else array[::-1].copy() for name, array in good.weights.items()}
        _publish(target, good.manifest, good.manifest.network, weights)


def truncate(share: float) -> Callable[[bytes], bytes]:
    """Return a damage: only a share of the file is left."""
    return lambda data: data[: round(share * len(data))]


def flip_bit(place: float) -> Callable[[bytes], bytes]:
    """Return a damage: one bit differs.

    Args:
        place: where in the file, from 0 to 1.
    """

    def damage(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[round(place * (len(data) - 1))] ^= 4
        return bytes(changed)

    return damage


def edit_manifest(data: bytes) -> bytes:
    """Return a manifest that claims another accuracy."""
    return data.replace(b'"test_accuracy": 0.', b'"test_accuracy": 1.', 1)


MANIFEST_FILE = MANIFEST


def _publish(target: Published, manifest: Manifest, network: Network, weights: Weights) -> None:
    description = ModelDescription.model_validate(
        {**manifest.model_dump(mode="json", include=set(ModelDescription.model_fields)), "network": network}
    )
    target.registry.publish(target.name, manifest.backend, target.version, description, weights, writer="planted")
