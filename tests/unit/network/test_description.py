"""A network is validated when it is described, and the error names the layer."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import InvalidNetworkError
from shared.network.description import MAX_VALUES, PRESETS, Network
from shared.network.layers import AveragePool2D, Conv2D, MaxPool2D

FLAT = {"kind": "flatten"}
LOGITS = {"kind": "dense", "units": 10}


def network(*layers: dict, shape: tuple[int, int, int] = (28, 28, 1)) -> Network:
    return Network.model_validate({"input_shape": shape, "layers": layers})


@pytest.mark.parametrize(
    ("preset", "count"),
    [
        ("article", 784 * 10 + 10 + 10 * 10 + 10),
        ("mlp", 784 * 128 + 128 + 1290),
        ("lenet5", 61_706),  # the usual number, with all channels of the second convolution connected
        # Three convolutions, four numbers of batch norm for each of their channels, and the logits.
        ("cnn", 160 + 4_640 + 9_248 + 4 * (16 + 32 + 32) + 7 * 7 * 32 * 10 + 10),
    ],
)
def test_a_preset_has_the_expected_number_of_parameters_on_mnist(preset: str, count: int) -> None:
    assert PRESETS[preset].network((28, 28, 1), 10).parameter_count == count


def test_shapes_are_computed_from_the_image_to_the_logits() -> None:
    described = network(FLAT, {"kind": "dense", "units": 7}, {"kind": "dense", "units": 3}, shape=(4, 5, 3))
    assert described.shapes == [(4, 5, 3), (60,), (7,), (3,)]
    assert described.parameter_shapes == {
        "layers.1.kernel": (60, 7),
        "layers.1.bias": (7,),
        "layers.2.kernel": (7, 3),
        "layers.2.bias": (3,),
    }


def test_the_error_for_a_layer_that_does_not_fit_names_the_layer_and_both_shapes() -> None:
    with pytest.raises(
        InvalidNetworkError, match=r"layers\.0 \(dense\) takes one dimension \[n\], but gets \[28, 28, 1\]"
    ):
        network({"kind": "dense", "units": 10})


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ({"kind": "flatten"}, (6 * 7 * 3,)),
        ({"kind": "conv2d", "filters": 5, "kernel_size": 3}, (4, 5, 5)),
        ({"kind": "conv2d", "filters": 5, "kernel_size": [3, 2], "strides": [2, 3]}, (2, 2, 5)),
        ({"kind": "conv2d", "filters": 5, "kernel_size": 3, "padding": "same"}, (6, 7, 5)),
        ({"kind": "conv2d", "filters": 5, "kernel_size": 9, "strides": 2, "padding": "same"}, (3, 4, 5)),
        ({"kind": "max_pool2d"}, (3, 3, 3)),
        ({"kind": "max_pool2d", "padding": "same"}, (3, 4, 3)),
        ({"kind": "average_pool2d", "pool_size": [3, 2], "strides": 1}, (4, 6, 3)),
        ({"kind": "average_pool2d", "pool_size": 6}, (1, 1, 3)),
        ({"kind": "global_average_pool2d"}, (3,)),
        ({"kind": "batch_norm"}, (6, 7, 3)),
        ({"kind": "dropout", "rate": 0.5}, (6, 7, 3)),
    ],
)
def test_each_layer_computes_its_output_shape(layer: dict, shape: tuple[int, ...]) -> None:
    end = [LOGITS] if len(shape) == 1 else [FLAT, LOGITS]
    assert network(layer, *end, shape=(6, 7, 3)).shapes[1] == shape


def test_parameters_are_trained_weights_and_moving_averages_only() -> None:
    described = network(
        {"kind": "conv2d", "filters": 5, "kernel_size": [3, 2]},
        *({"kind": "batch_norm"}, {"kind": "dropout", "rate": 0.5}, {"kind": "global_average_pool2d"}),
        *({"kind": "batch_norm"}, LOGITS),
        shape=(6, 7, 3),
    )
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    assert described.parameter_shapes == {
        "layers.0.kernel": (3, 2, 3, 5),
        "layers.0.bias": (5,),
        **{f"layers.{index}.{name}": (5,) for index in (1, 4) for name in norm},
        "layers.5.kernel": (5, 10),
        "layers.5.bias": (10,),
    }


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            [{"kind": "conv2d", "filters": 4, "kernel_size": [9, 3]}],
            "layers.0 (conv2d) has a window of [9, 3], which does not fit into its input [8, 8, 1]",
        ),
        (
            [{"kind": "max_pool2d", "pool_size": 3}, {"kind": "average_pool2d", "pool_size": [2, 3]}],
            "layers.1 (average_pool2d) has a window of [2, 3], which does not fit into its input [2, 2, 1]",
        ),
        *(
            ([FLAT, layer], f"layers.1 ({layer['kind']}) takes an image [height, width, channels], but gets [64]")
            for layer in (
                {"kind": "conv2d", "filters": 4, "kernel_size": 3},
                *({"kind": "max_pool2d"}, {"kind": "average_pool2d"}, {"kind": "global_average_pool2d"}),
            )
        ),
        (
            [{"kind": "batch_norm"}, {"kind": "dropout", "rate": 0.1}, LOGITS],
            "layers.2 (dense) takes one dimension [n], but gets [8, 8, 1]: put a flatten layer before it",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_for_windows_and_for_inputs_that_are_no_images_name_the_layer_and_the_shapes(
    layers: list[dict], words: str
) -> None:
    with pytest.raises(InvalidNetworkError, match=re.escape(words)):
        network(*layers, FLAT, LOGITS, shape=(8, 8, 1))


def test_a_layer_with_too_many_output_values_is_refused_and_the_error_names_both_shapes() -> None:
    wide = {"kind": "conv2d", "filters": 4096, "kernel_size": 1}
    with pytest.raises(
        InvalidNetworkError, match=rf"layers\.0 \(conv2d\) gives \[33, 32, 4096\] from \[33, 32, 1\].*{MAX_VALUES:,}"
    ):
        network(wide, FLAT, LOGITS, shape=(33, 32, 1))
    assert MAX_VALUES == 32 * 32 * 4096
    network(wide, {"kind": "global_average_pool2d"}, LOGITS, shape=(32, 32, 1))


@given(
    st.sampled_from([Conv2D, MaxPool2D, AveragePool2D]),
    *[st.tuples(st.integers(1, high), st.integers(1, high)) for high in (12, 6, 5)],
)
def test_same_is_the_smallest_padding_with_one_window_for_each_stride(
    kind: type, sides: tuple[int, int], size: tuple[int, int], strides: tuple[int, int]
) -> None:
    if kind is Conv2D:
        layer = Conv2D(filters=1, kernel_size=size, strides=strides, padding="same")
    else:
        layer = kind(pool_size=size, strides=strides, padding="same")
    shape = layer.output_shape((*sides, 1))
    for side, edge, stride, (before, after), found in zip(
        sides, size, strides, layer.pads((*sides, 1)), shape, strict=False
    ):
        starts = len(range(0, side, stride))  # one window for each stride that begins inside the image
        assert found == starts
        # Brute force: add one pixel after the other until that many windows fit.
        least = next(added for added in range(100) if len(range(0, side + added - edge + 1, stride)) >= starts)
        assert before + after == least
        assert 0 <= after - before <= 1


def test_valid_adds_no_padding() -> None:
    assert Conv2D(filters=1, kernel_size=3).pads((5, 5, 1)) == ((0, 0), (0, 0))


def test_one_number_stands_for_both_sides_and_a_pools_strides_default_to_its_size() -> None:
    short = {"kind": "conv2d", "filters": 2, "kernel_size": 3, "strides": 2}
    long = {**short, "kernel_size": [3, 3], "strides": [2, 2]}
    pools = [{"kind": "max_pool2d", "pool_size": 2}, {"kind": "max_pool2d", "pool_size": [2, 2], "strides": [2, 2]}]
    one, other = (network(conv, pool, FLAT, LOGITS) for conv, pool in zip((short, long), pools, strict=True))
    assert one.layers[0] == other.layers[0]
    assert one.shapes == other.shapes
    assert Network.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(("layers", "random"), [(["dropout"], True), ([], False)])
def test_a_network_with_dropout_is_random(layers: list[str], random: bool) -> None:
    assert network(*({"kind": kind, "rate": 0.5} for kind in layers), FLAT, LOGITS).is_random is random
    assert not network({"kind": "dropout", "rate": 0}, FLAT, LOGITS).is_random


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([FLAT], "end with a dense layer"),
        ([FLAT, {"kind": "dense", "units": 3}, FLAT], "end with a dense layer"),
        ([FLAT, {"kind": "dense", "units": 3, "activation": "relu"}], "leave its activation out"),
        ([FLAT, {"kind": "dense", "units": 65_536}], "limit of 20,000,000"),
    ],
)
def test_a_network_without_logits_or_with_too_many_parameters_is_refused(layers: list[dict], words: str) -> None:
    with pytest.raises(InvalidNetworkError, match=words):
        network(*layers)


@pytest.mark.parametrize(
    "layer",
    [
        *({"kind": "conv9d"}, {"units": 10}, {"kind": "dense"}, {"kind": "dense", "units": 0}),
        *({"kind": "flatten", "x": 1}, {"kind": "dense", "units": 3, "activation": "softplus"}),
        *({"kind": "dropout"}, {"kind": "dropout", "rate": 1}, {"kind": "dropout", "rate": -0.1}),
        *({"kind": "batch_norm", "momentum": 1}, {"kind": "batch_norm", "epsilon": 0}),
        *({"kind": "max_pool2d", "pool_size": 0}, {"kind": "max_pool2d", "padding": "full"}),
        *({"kind": "conv2d", "filters": 2}, {"kind": "conv2d", "filters": 2, "kernel_size": [3, 3, 3]}),
        {"kind": "conv2d", "filters": 2, "kernel_size": 3, "strides": 0},
    ],
)
def test_unknown_kinds_unknown_fields_and_invalid_values_are_refused(layer: dict) -> None:
    # The layer is before the flatten layer, where any kind of layer is allowed.
    with pytest.raises(ValidationError):
        network(layer, FLAT, LOGITS)


def test_more_layers_than_the_limit_are_refused() -> None:
    with pytest.raises(ValidationError, match="at most 64"):
        network(FLAT, *[{"kind": "dense", "units": 1}] * 64)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.tuples(*[st.integers(1, 9)] * 3))
def test_a_network_can_be_read_back_from_json_and_counts_its_parameters(
    units: list[int], shape: tuple[int, int, int]
) -> None:
    described = network(FLAT, *({"kind": "dense", "units": n} for n in units), shape=shape)
    assert Network.model_validate_json(described.model_dump_json()) == described
    wide = [shape[0] * shape[1] * shape[2], *units]
    assert described.parameter_count == sum(a * b + b for a, b in pairwise(wide))
