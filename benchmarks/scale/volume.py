"""Copies published models, so that a volume has as many models and versions as it would have after years."""

import json
from pathlib import Path

from shared.models.manifest import digest_of
from shared.models.registry import MANIFEST, WEIGHTS, ModelRegistry


def copy_models(registry: ModelRegistry, name: str, backends: tuple[str, ...], version: int, count: int) -> None:
    """Add copies of a model, named `copy-<number>`, until there are `count` models. Each has one version."""
    for number in range(len(registry.names()), count):
        for backend in backends:
            _copy(
                registry.path(name, backend, version), registry.path(f"copy-{number}", backend, 1), f"copy-{number}", 1
            )


def copy_versions(
    registry: ModelRegistry, name: str, backends: tuple[str, ...], version: int, to: str, count: int
) -> None:
    """Add versions of the model `to`, all copies of a version of another model, until it has `count` of them."""
    for backend in backends:
        for number in range(len(registry.versions(to, backend)) + 1, count + 1):
            _copy(registry.path(name, backend, version), registry.path(to, backend, number), to, number)


def _copy(source: Path, target: Path, name: str, version: int) -> None:
    """Write a model's folder: the weights are linked, and the manifest gets a valid digest for its own identity."""
    target.mkdir(parents=True)
    manifest = {**json.loads((source / MANIFEST).read_bytes()), "name": name, "version": version}
    manifest["digest"] = digest_of(manifest)
    (target / WEIGHTS).hardlink_to(source / WEIGHTS)
    (target / MANIFEST).write_text(json.dumps(manifest, indent=1))
