"""The two kinds of registries, for tests of what both must do."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from shared.models.registry import ModelRegistry
from shared.models.stored_registry import StoredModelRegistry
from shared.object_store import ObjectStore
from tests.object_server import ObjectServer

MakeRegistry = Callable[[], ModelRegistry]


@pytest.fixture
def make_stored(object_server: ObjectServer, tmp_path: Path) -> Callable[[], StoredModelRegistry]:
    """Return a function that makes registries of one store: each has a folder for copies of its own."""
    url = f"s3://tandem/{uuid4().hex}"

    def make() -> StoredModelRegistry:
        registry = StoredModelRegistry(ObjectStore(url), tmp_path / f"copies-{uuid4().hex}")
        registry.visible_after_s = 0.0  # a test waits only where other registries must see a change
        return registry

    return make


@pytest.fixture(params=["folder", "object store"])
def make_registry(request: pytest.FixtureRequest, tmp_path: Path) -> MakeRegistry:
    """Return a function that makes registries of the same models."""
    if request.param == "folder":
        return lambda: ModelRegistry(tmp_path / "models")
    return request.getfixturevalue("make_stored")


@pytest.fixture
def registry(make_registry: MakeRegistry) -> ModelRegistry:
    """Return an empty registry."""
    return make_registry()
