"""Network families: every combination of numbers fits every picture, or says why not."""

import itertools

import pytest

from shared.network.description import Network
from shared.network.families import CnnFamily, MlpFamily, NetworkFamily

SHAPES = [(1, 1, 1), (2, 3, 1), (8, 8, 1), (28, 28, 1), (1, 4096, 3), (4096, 1, 4), (31, 32, 3), (4096, 4096, 3)]
FAMILIES: list[NetworkFamily] = [
    *(MlpFamily(depth=depth, width=width, dropout=0.5) for depth, width in itertools.product((0, 1, 3), (1, 256))),
    *(
        CnnFamily(
            blocks=blocks, filters=filters, kernel=kernel, batch_norm=bool(dense), dense_layers=dense, dropout=0.3
        )
        for blocks, filters, kernel, dense in itertools.product((1, 3, 6), (1, 32), (1, 5), (0, 2))
    ),
]


def kinds(network: Network) -> list[str]:
    return [layer.kind for layer in network.layers]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_family_fits_pictures_of_any_size(shape: tuple[int, int, int]) -> None:
    for family in FAMILIES:
        network = family.network(shape, classes=7)
        assert network.input_shape == shape
        assert network.output_shape == (7,)


def test_the_mlp_family_has_the_requested_layers() -> None:
    network = MlpFamily(depth=2, width=5, activation="tanh", dropout=0.25).network((8, 8, 1), 3)
    assert kinds(network) == ["flatten", "dense", "dropout", "dense", "dropout", "dense"]
    assert network.parameter_count == 64 * 5 + 5 + 5 * 5 + 5 + 5 * 3 + 3
    assert kinds(MlpFamily(depth=0).network((8, 8, 1), 3)) == ["flatten", "dense"]


def test_pooling_stops_before_the_picture_vanishes_and_filters_double_with_it() -> None:
    network = CnnFamily(blocks=5, filters=4, batch_norm=False).network((8, 9, 1), 3)
    convolutions = [layer.filters for layer in network.layers if layer.kind == "conv2d"]
    assert convolutions == [4, 8, 16, 32, 32]
    assert kinds(network).count("max_pool2d") == 3
    assert network.shapes[-3][:2] == (1, 1)


def test_large_pictures_are_averaged_down_first() -> None:
    assert kinds(MlpFamily().network((512, 512, 3), 10))[0] == "average_pool2d"
    assert kinds(CnnFamily().network((512, 512, 3), 10))[0] == "average_pool2d"
    assert kinds(CnnFamily(blocks=1, filters=32).network((128, 128, 3), 10))[-2] == "global_average_pool2d"
