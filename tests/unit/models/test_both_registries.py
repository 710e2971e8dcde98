"""What a registry does, whether its models lie in a folder or in an object store."""

import numpy as np
import pytest

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError
from shared.models.registry import ModelRegistry
from shared.network.weights import initial_weights
from tests.unit.models.conftest import MakeRegistry
from tests.unit.models.descriptions import describe
from tests.unit.models.test_registry import BOTH, NETWORK, publish


def test_a_published_model_is_read_unchanged(make_registry: MakeRegistry) -> None:
    publish(make_registry())
    model = make_registry().verify("m", "pytorch", 1)
    assert model.manifest.network == NETWORK
    assert model.manifest.format == 1
    expected = initial_weights(NETWORK, 1)
    assert all(np.array_equal(model.weights[name], expected[name]) for name in expected)


def test_the_newest_version_that_all_backends_have_is_used(registry: ModelRegistry) -> None:
    for version, backend in ((1, "tensorflow"), (1, "pytorch"), (2, "tensorflow"), (2, "pytorch"), (10, "pytorch")):
        publish(registry, version, backend)
    assert registry.resolve_version("m", BOTH) == 2
    assert registry.resolve_version("m", ("pytorch",)) == 10
    assert registry.resolve_version("m", BOTH, 1) == 1
    with pytest.raises(NotFoundError, match=r"version 10 is not published by tensorflow: .* have it, pytorch"):
        registry.resolve_version("m", BOTH, 10)
    with pytest.raises(NotFoundError, match=r"version 11 is not published by tensorflow and pytorch; ready: m\."):
        registry.resolve_version("m", BOTH, 11)
    with pytest.raises(NotFoundError, match=r"'m' is not published by new: .* have it, tensorflow and pytorch"):
        registry.resolve_version("m", (*BOTH, "new"))


def test_the_error_for_an_unknown_model_lists_the_models_and_how_to_train_one(registry: ModelRegistry) -> None:
    with pytest.raises(NotFoundError, match=r"ready: none yet\. Train one with POST /v1/trainings"):
        registry.resolve_version("nothing", BOTH)


@pytest.mark.parametrize("name", ["..", "../m", "m/..", "/etc", "", ".", "a" * 64, "M", "m\0"])
def test_an_invalid_name_is_not_found(registry: ModelRegistry, name: str) -> None:
    publish(registry)
    assert registry.versions(name, "pytorch") == []
    assert registry.backends(name) == []
    with pytest.raises(NotFoundError):
        registry.verify(name, "pytorch", 1)


def test_a_draft_is_readable_by_name_before_it_is_listed_and_keeps_its_identity(registry: ModelRegistry) -> None:
    seen = []

    def before(draft: str) -> None:
        assert registry.versions("m", "pytorch") == []
        assert registry.verify("m", "pytorch", draft).manifest.version == 1
        seen.append(registry.identity("m", "pytorch", draft))

    registry.publish("m", "pytorch", 1, describe(NETWORK), initial_weights(NETWORK, 1), "w", before)
    assert seen == [registry.identity("m", "pytorch", 1)]


@pytest.mark.parametrize("version", ["..", "../../x/y/1", ".tmp-", ".tmp-" + "0" * 31, "1", ""])
def test_an_invalid_draft_name_is_not_found(registry: ModelRegistry, version: str) -> None:
    with pytest.raises(NotFoundError):
        registry.verify("m", "pytorch", version)


def test_a_version_is_published_once_by_any_of_several_registries(make_registry: MakeRegistry) -> None:
    first, second = make_registry(), make_registry()
    publish(first, writer="first")
    digest = first.manifest("m", "pytorch", 1).digest
    with pytest.raises(AlreadyPublishedError):
        publish(second, writer="second")
    publish(second, writer="first")  # the same job is executed again: nothing is written
    assert make_registry().manifest("m", "pytorch", 1).digest == digest


def test_an_error_of_the_predictor_prevents_the_publication(registry: ModelRegistry) -> None:
    def before(draft: str) -> None:
        raise CorruptModelError(draft)

    with pytest.raises(CorruptModelError):
        registry.publish("m", "pytorch", 1, describe(NETWORK), initial_weights(NETWORK, 1), "w", before)
    assert registry.versions("m", "pytorch") == []
    publish(registry)


def test_a_deleted_version_is_gone_and_can_be_published_again(make_registry: MakeRegistry) -> None:
    registry = make_registry()
    for version in (1, 2):
        publish(registry, version)
    registry.delete("m", "pytorch", 1)
    registry.delete("m", "pytorch", 1)
    assert registry.versions("m", "pytorch") == [2]
    with pytest.raises(NotFoundError):
        registry.verify("m", "pytorch", 1)
    registry.publish("m", "pytorch", 1, describe(NETWORK), initial_weights(NETWORK, 5), "again")
    assert make_registry().verify("m", "pytorch", 1).manifest.writer == "again"
    assert registry.verify("m", "pytorch", 1).manifest.writer == "again"
    assert registry.names() == ["m"]
    assert registry.backends("m") == ["pytorch"]
