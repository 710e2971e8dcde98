"""A title addresses one backend's model, or the models of all backends."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.prediction.model_address import ModelAddress, ModelAddresses, parse_title
from shared.errors import NotFoundError
from shared.models.aliases import Aliases
from shared.models.registry import ModelRegistry
from shared.names import problem_with_model_name
from shared.network.description import PRESETS
from shared.network.weights import initial_weights
from tests.unit.models.descriptions import describe

BACKENDS = ("tensorflow", "pytorch")


@given(st.from_regex("[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True))
def test_every_name_that_may_be_given_is_found_again_alone_and_with_each_backend(name: str) -> None:
    if problem_with_model_name(name, BACKENDS):
        return
    assert parse_title(name, BACKENDS) == (name, BACKENDS)
    for backend in BACKENDS:
        assert parse_title(f"{name}-{backend}", BACKENDS) == (name, (backend,))


def test_only_the_end_of_a_title_names_a_backend() -> None:
    assert parse_title("pytorch-digits", BACKENDS) == ("pytorch-digits", BACKENDS)
    assert parse_title("x-jax", BACKENDS) == ("x-jax", BACKENDS)
    assert parse_title("x-pytorch-tensorflow", BACKENDS) == ("x-pytorch", ("tensorflow",))


def test_one_backends_model_has_one_output_and_all_backends_one_each() -> None:
    one = ModelAddress("x-pytorch", "x", ("pytorch",), 1, (8, 8, 1), 10)
    assert one.outputs == {"probabilities": "pytorch"}
    assert ModelAddress("x", "x", BACKENDS, 1, (8, 8, 1), 10).outputs == {
        "tensorflow": "tensorflow",
        "pytorch": "pytorch",
    }
    assert ModelAddress("x", "x", ("pytorch",), 1, (8, 8, 1), 10).outputs == {"pytorch": "pytorch"}


def test_on_the_event_loop_a_model_is_found_like_in_a_thread(tmp_path: Path) -> None:
    """The first look-up reads files, the second one finds everything cached, and a new version is seen at once."""
    network = PRESETS["article"].network((8, 8, 1), 10)
    registry = ModelRegistry(tmp_path)
    addresses = ModelAddresses(registry, cast(Aliases, None), BACKENDS)
    for version in (1, 2):
        for backend in BACKENDS:
            registry.publish("m", backend, version, describe(network), initial_weights(network, version), "w")
        for _ in range(2):
            address = asyncio.run(addresses.find_model("m"))
            assert address == addresses.resolve_model("m") == ModelAddress("m", "m", BACKENDS, version, (8, 8, 1), 10)
            number, manifest = asyncio.run(addresses.find_version("m", ("pytorch",), None))
            assert (number, manifest.backend, manifest.version) == (version, "pytorch", version)
    with pytest.raises(NotFoundError, match="ready: m"):
        asyncio.run(addresses.find_model("nothing"))
