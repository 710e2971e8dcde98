"""The space of a search: domains, the parameters that a value needs, and the points of a grid."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.jobs.payloads import TrainingRequest
from shared.jobs.search_points import Point, SearchPoints
from shared.jobs.search_space import SPACES, Domain, SearchSpace

SHAPE, CLASSES = (8, 8, 1), 10
NESTED = {
    "network": {
        "choice": [
            "lenet5",
            {"family": "mlp", "depth": {"range": [0, 1]}, "width": {"choice": [8, 16]}, "activation": "relu"},
            {"family": "cnn", "blocks": 1, "filters": 4, "kernel": 3, "batch_norm": True, "pooling": "max"},
        ]
    },
    "optimizer.name": {"choice": ["sgd", "adam"]},
    "optimizer.momentum": {"choice": [0.0, 0.9]},
    "augmentation": {"choice": [None, {"shift": 0.1}]},
    "augmentation.rotate": {"range": [1, 10]},
}


def points_of(space: object, training: Any = None) -> SearchPoints:
    return SearchPoints(SearchSpace.model_validate(space), training or {})


def all_points(points: SearchPoints) -> list[Point]:
    return [points.grid_point(index) for index in range(points.grid_size())]


@pytest.mark.parametrize(
    ("domain", "grid"),
    [
        ({"choice": [3, "a", None, {"b": 1}]}, [3, "a", None, {"b": 1}]),
        ({"range": [2, 6]}, [2, 3, 4, 5, 6]),
        ({"range": [0, 10]}, [0, 5, 10]),
        ({"range": [0.0, 1]}, [0.0, 0.5, 1]),
        ({"log_range": [1, 100]}, [1, 10, 100]),
        ({"log_range": [0.25, 4.0]}, [0.25, 1.0, 4.0]),
        ({"range": [-1e-9, 0]}, [-1e-9, -5e-10, 0]),
    ],
)
def test_a_grid_takes_every_choice_and_the_ends_and_the_middle_of_a_range(domain: object, grid: list[object]) -> None:
    found = Domain.model_validate(domain)
    assert found.grid == grid
    again = Domain.model_validate_json(found.model_dump_json())
    assert json.dumps(again.grid) == json.dumps(grid)  # 1 and 1.0 are different here


@pytest.mark.parametrize(
    "domain",
    [
        *({}, {"choice": []}, {"choice": [1, 1]}, {"choice": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}),
        *({"range": [2, 2]}, {"range": [3, 2]}, {"range": [1]}, {"range": [True, 2]}, {"range": ["1", 2]}),
        *({"range": [0, float("inf")]}, {"range": [0, 10**400]}, {"range": [float("nan"), 1]}),
        *({"log_range": [0, 1]}, {"range": [0, 1], "choice": [1]}, {"values": [1]}),
    ],
)
def test_a_domain_without_values_or_with_equal_ones_is_refused(domain: object) -> None:
    with pytest.raises(ValidationError):
        Domain.model_validate(domain)


def test_a_number_and_a_truth_value_are_different_choices() -> None:
    assert Domain(choice=[1, True, 1.0]).grid == [1, True, 1.0]


def test_the_points_of_a_grid_are_all_combinations_that_fit_each_other_once() -> None:
    points = points_of(NESTED)
    found = all_points(points)
    # Networks: lenet5; mlp with depth 0 (no width) or 1 (2 widths), times 3 dropouts; cnn: 2 dense_layers, of which one
    # has 3 widths, times 3 dropouts. Optimizers: adam; sgd with 2 momenta. Augmentations: none; shift with 3 rotations.
    assert len(found) == (1 + (1 + 2) * 3 + (1 + 3) * 3) * (1 + 2) * (1 + 3)
    assert len({json.dumps(point, sort_keys=True) for point in found}) == len(found)
    for point in found:
        assert list(point) == [parameter.path for parameter in points.parameters_of(point)]
        assert ("optimizer.momentum" in point) == (point["optimizer.name"] == "sgd")
        assert ("augmentation.rotate" in point) == (point["augmentation"] is not None)
        assert ("network.mlp.width" in point) == (point.get("network.mlp.depth") == 1)


def test_a_point_becomes_a_training() -> None:
    points = points_of(NESTED, {"schedule": "cosine", "optimizer": {"name": "adam", "learning_rate": 0.25}})
    for point in all_points(points):
        training = points.training_of(point, SHAPE, CLASSES)
        request = TrainingRequest.model_validate(training)
        assert request.schedule == "cosine"
        assert request.optimizer.learning_rate == 0.25
        assert request.optimizer.name == point["optimizer.name"]
        assert (request.augmentation.rotate if request.augmentation else None) == point.get("augmentation.rotate")
        assert (request.network == "lenet5") == (point["network"] == "lenet5")


def test_a_path_may_lead_into_a_described_network() -> None:
    layers = [{"kind": "flatten"}, {"kind": "dense", "units": 9}, {"kind": "dense", "units": CLASSES}]
    shared = {"network": {"input_shape": SHAPE, "layers": layers}}
    points = points_of({"network.layers.1.units": {"range": [4, 5]}}, shared)
    units = [
        points.training_of(point, SHAPE, CLASSES)["network"]["layers"][1]["units"]  # type: ignore[call-overload,index]
        for point in all_points(points)
    ]
    assert units == [4, 5]
    with pytest.raises(LookupError, match="no item 7"):
        points_of({} | {"network.layers.7.units": {"range": [4, 5]}}, shared).training_of(
            {"network.layers.7.units": 4}, SHAPE, CLASSES
        )


def test_the_space_for_newcomers_fits_every_dataset() -> None:
    points = SearchPoints(SPACES["quick"], {})
    for shape in (SHAPE, (28, 28, 1), (512, 300, 3), (1, 1, 1)):
        for point in (points.grid_point(0), points.grid_point(points.grid_size() - 1)):
            TrainingRequest.model_validate(points.training_of(point, shape, 2))
