"""A network is checked when it is described, and an error names the layer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import InvalidNetworkError
from shared.network import PRESETS, Network

FLAT = {"kind": "flatten"}


def network(*layers: dict, shape: tuple[int, int, int] = (28, 28, 1)) -> Network:
    return Network.model_validate({"input_shape": shape, "layers": layers})


@pytest.mark.parametrize(
    ("preset", "count"), [("article", 784 * 10 + 10 + 10 * 10 + 10), ("mlp", 784 * 128 + 128 + 1290)]
)
def test_a_preset_on_mnist_has_the_parameters_of_its_description(preset: str, count: int) -> None:
    assert PRESETS[preset].network((28, 28, 1), 10).parameter_count == count


def test_shapes_are_followed_from_picture_to_logits() -> None:
    described = network(FLAT, {"kind": "dense", "units": 7}, {"kind": "dense", "units": 3}, shape=(4, 5, 3))
    assert described.shapes == [(4, 5, 3), (60,), (7,), (3,)]
    assert described.parameter_shapes == {
        "layers.1.kernel": (60, 7),
        "layers.1.bias": (7,),
        "layers.2.kernel": (7, 3),
        "layers.2.bias": (3,),
    }


def test_a_layer_that_does_not_fit_is_named_with_both_shapes() -> None:
    with pytest.raises(
        InvalidNetworkError, match=r"layers\.0 \(dense\) takes one dimension \[n\], but gets \[28, 28, 1\]"
    ):
        network({"kind": "dense", "units": 10})


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([FLAT], "end with a dense layer"),
        ([FLAT, {"kind": "dense", "units": 3}, FLAT], "end with a dense layer"),
        ([FLAT, {"kind": "dense", "units": 3, "activation": "relu"}], "leave its activation out"),
        ([FLAT, {"kind": "dense", "units": 65_536}], "limit of 20,000,000"),
    ],
)
def test_what_gives_no_logits_or_too_many_parameters_is_refused(layers: list[dict], words: str) -> None:
    with pytest.raises(InvalidNetworkError, match=words):
        network(*layers)


@pytest.mark.parametrize(
    "layer",
    [{"kind": "conv9d"}, {"units": 10}, {"kind": "dense"}, {"kind": "dense", "units": 0}, {"kind": "flatten", "x": 1}],
)
def test_unknown_kinds_and_fields_are_refused(layer: dict) -> None:
    with pytest.raises(ValidationError):
        network(FLAT, layer, {"kind": "dense", "units": 10})


def test_more_layers_than_the_limit_are_refused() -> None:
    with pytest.raises(ValidationError, match="at most 64"):
        network(FLAT, *[{"kind": "dense", "units": 1}] * 64)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.tuples(*[st.integers(1, 9)] * 3))
def test_a_network_survives_json_and_counts_what_it_lists(units: list[int], shape: tuple[int, int, int]) -> None:
    described = network(FLAT, *({"kind": "dense", "units": n} for n in units), shape=shape)
    assert Network.model_validate_json(described.model_dump_json()) == described
    wide = [shape[0] * shape[1] * shape[2], *units]
    assert described.parameter_count == sum(a * b + b for a, b in pairwise(wide))
