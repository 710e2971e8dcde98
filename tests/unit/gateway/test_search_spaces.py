"""The space of a search is checked before a trial is trained, and the message names the path."""

import json
from typing import Any

import pytest

from services.gateway.routes.request_bodies import parse_json
from services.gateway.routes.search_spaces import check_shared_training, check_space
from shared.data.datasets import DIGITS, MNIST, Dataset
from shared.errors import InvalidRequestError
from shared.jobs.search_points import SearchPoints
from shared.jobs.search_space import SPACES
from shared.jobs.searches import SearchRequest


def check(body: dict[str, Any], dataset: Dataset = DIGITS) -> list[str]:
    """Check a request as the gateway does, and return the warnings."""
    request = parse_json(SearchRequest, json.dumps(body).encode())
    check_shared_training(request.training, dataset)
    space = SPACES[request.space] if isinstance(request.space, str) else request.space
    return check_space(SearchPoints(space, request.training), dataset)


def described(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"input_shape": [8, 8, 1], "layers": [{"kind": "flatten"}, *layers]}


TWO_LAYERS = described({"kind": "dense", "units": 20}, {"kind": "dense", "units": 10})


@pytest.mark.parametrize("dataset", [DIGITS, MNIST])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"space": {"network": {"family": "mlp"}}},
        {"space": {"network": {"family": "cnn"}}},
        {"space": {"network": {"choice": ["article", "cnn", {"family": "mlp"}, {"family": "cnn", "blocks": 2}]}}},
        {"space": {"optimizer.name": {"choice": ["sgd", "adam"]}, "optimizer.momentum": {"range": [0.0, 0.9]}}},
        {"space": {"optimizer": {"choice": [{"name": "adam"}, {}]}, "optimizer.weight_decay": {"range": [0, 0.5]}}},
        {"space": {"augmentation": {"choice": [None, {"shift": 0.1}]}, "augmentation.rotate": {"range": [0, 180]}}},
        {"space": {"augmentation.shift": {"range": [0.0, 0.5]}, "schedule": {"choice": ["constant", "cosine"]}}},
        {"space": {"batch_size": {"log_range": [1, 1437]}, "precision": {"choice": ["float32", "float64"]}}},
        {"space": {"optimizer.beta_1": {"range": [0.5, 0.9]}}, "training": {"optimizer": {"name": "adam"}}},
    ],
)
def test_a_valid_space_is_accepted(body: dict[str, Any], dataset: Dataset) -> None:
    assert check(body, dataset) == []


def test_a_space_may_lead_into_a_described_network() -> None:
    body = {"space": {"network.layers.1.units": {"range": [5, 50]}}, "training": {"network": TWO_LAYERS}}
    assert check(body) == []


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("fast", "space: must be 'quick'"),
        ({}, "space: a space has 1 to 32 paths"),
        ({f"optimizer.x{number}": {"choice": [1]} for number in range(33)}, "space: a space has 1 to 32 paths"),
        ({"foo": {"choice": [1]}}, "space.foo: the value 1 cannot be used: there is no such field here"),
        ({"batch_size": [16]}, "space.batch_size: must be a JSON object"),
        ({"batch_size": {"range": [64, 16]}}, "space.batch_size: the range [64, 16] has no values"),
        ({"batch_size": {"choice": [16, 0]}}, "space.batch_size: the value 0 cannot be used: must be at least 1"),
        ({"batch_size": {"range": [16, 5000]}}, "space.batch_size: the value 5000 cannot be used: batch_size 5000 is"),
        ({"batch_size": {"range": [16.5, 50]}}, "space.batch_size: the value 16.5 cannot be used: must be a whole"),
        ({"optimizer.learning_rate": {"log_range": [0, 1]}}, "space.optimizer.learning_rate: a log_range begins above"),
        ({"optimizer.learning_rate": {"range": [1, 1000]}}, "space.optimizer.learning_rate: the value 1000 cannot"),
        ({"optimizer.beta_1": {"range": [0.1, 0.5]}}, "space.optimizer.beta_1: the value 0.1 cannot be used: there is"),
        ({"optimizer.name": {"choice": ["sgd", "rms"]}}, 'space.optimizer.name: the value "rms" cannot be used'),
        ({"optimizer.name": {"choice": ["sgd"]}, "optimizer.x": {"choice": [1]}}, "space.optimizer.x: no value of opt"),
        ({"optimizer.nesterov": {"choice": [True]}}, "no combination of its values can be trained: nesterov needs"),
        ({"seed": {"range": [0, 5]}}, "space.seed: a search sets this field of its trainings itself"),
        ({"publish": {"choice": [True]}}, "space.publish: a search sets this field of its trainings itself"),
        ({"augmentation.shift": {"range": [0.0, 0.9]}}, "space.augmentation.shift: the value 0.9 cannot be used"),
        ({"augmentation..shift": {"range": [0.0, 0.9]}}, "space.augmentation..shift: the value 0.0 cannot be used"),
        ({"network": "mlp"}, "space.network: must be a JSON object"),
        ({"network": {"family": "rnn"}}, "space.network: must be one of 'mlp', 'cnn'"),
        ({"network": {"family": "mlp", "deep": 1}}, "space.network.deep: there is no such field here"),
        ({"network": {"family": "mlp", "depth": 99}}, "space.network.depth: must be at most 16"),
        ({"network": {"family": "mlp", "depth": {"range": [1, 99]}}}, "space.network.depth: the value 99 cannot be"),
        ({"network": {"choice": ["mlp", "big"]}}, 'space.network: the value "big" cannot be used: unknown network'),
        (
            {"network": {"choice": [described({"kind": "dense", "units": 11})]}},
            "layers.1 gives [11], but digits has 10",
        ),
        ({"network": {"choice": [{"family": "cnn"}, {"family": "cnn"}]}}, "a network or a family is listed twice"),
        ({"network": {"choice": [{"family": "cnn", "kernel": {"choice": [3, 99]}}]}}, "space.network.cnn.kernel: the"),
        ({"network": {"family": "mlp"}, "network.depth": {"choice": [1]}}, "space.network.depth: the space has a dom"),
        ({"network.layers.9.units": {"range": [5, 50]}}, "space.network.layers.9.units: the value 5 cannot be used"),
        (
            {
                "network": {
                    "family": "cnn",
                    "blocks": 6,
                    "filters": 256,
                    "kernel": 7,
                    "dense_layers": 8,
                    "dense_width": 1024,
                }
            },
            "no combination of its values can be trained: the network has",
        ),
        (
            {f"optimizer.{name}": {"choice": list(range(64))} for name in ("a", "a.b", "a.b.c")},
            "space.optimizer.a: the value 0 cannot be used",
        ),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_with_its_path(space: object, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        check({"space": space})
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"epochs": 3}, "training.epochs: a search sets this field"),
        ({"data_version": "0" * 32}, "training.data_version: a search sets this field of its trainings itself"),
        ({"foo": 3}, "training.foo: there is no such field here"),
        ({"optimizer": {"learning_rate": -1}}, "training.optimizer.learning_rate: must be greater than 0"),
        ({"network": "big"}, "unknown network 'big'"),
        ({"batch_size": 1438}, "batch_size 1438 is more than"),
    ],
)
def test_shared_fields_that_cannot_be_used_are_refused(training: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        check({"training": training})
    assert message in str(refusal.value)


def test_a_client_is_warned_of_combinations_that_cannot_be_trained() -> None:
    (warning,) = check(
        {"space": {"optimizer.nesterov": {"choice": [True, False]}, "optimizer.momentum": {"choice": [0, 0.9]}}}
    )
    assert warning.startswith("1 of 4 combinations that were checked cannot be trained")


def test_a_path_that_only_some_networks_have_gives_a_warning() -> None:
    """The second network has no third layer, and its second one takes no rate."""
    layers = [{"kind": "flatten"}, {"kind": "dropout", "rate": 0.1}, {"kind": "dense", "units": 10}]
    choice = [layers, [layers[0], layers[2]]]
    for path, values in (("network.layers.2.units", [10]), ("network.layers.1.rate", [0.1, 0.2])):
        space = {"network.layers": {"choice": choice}, path: {"choice": values}}
        (warning,) = check({"space": space, "training": {"network": described(*layers[1:])}})
        assert "such trials fail: " in warning


def test_a_space_with_too_many_values_is_refused() -> None:
    optimizers = [{"learning_rate": number / 100} for number in range(1, 61)]
    paths = {"optimizer.momentum": {"choice": [number / 100 for number in range(60)]}}
    with pytest.raises(InvalidRequestError, match="more than 2,000 values"):
        check({"space": {"optimizer": {"choice": optimizers}, **paths}})
