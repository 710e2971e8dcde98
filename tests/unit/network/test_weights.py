"""Initial weights from a seed, and conversion to and from safetensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from shared.errors import CorruptModelError
from shared.network.description import PRESETS, Network
from shared.network.weights import from_bytes, initial_weights, to_bytes

ARTICLE = PRESETS["article"].network((28, 28, 1), 10)


@given(st.integers(0, 2**32 - 1))
def test_kernels_are_within_glorots_limit_and_biases_are_0(seed: int) -> None:
    weights = initial_weights(ARTICLE, seed)
    for name, (fan_in, fan_out) in {"layers.1": (784, 10), "layers.2": (10, 10)}.items():
        limit = np.float32(np.sqrt(6 / (fan_in + fan_out)))
        assert np.abs(weights[f"{name}.kernel"]).max() <= limit
        assert not weights[f"{name}.bias"].any()


def test_a_large_kernel_has_the_deviation_of_a_uniform_distribution() -> None:
    kernel = initial_weights(PRESETS["mlp"].network((28, 28, 1), 10), 0)["layers.1.kernel"]
    limit = np.sqrt(6 / (784 + 128))
    assert abs(kernel.mean()) < limit / 100
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


def test_the_fans_of_a_convolution_are_its_receptive_field_times_its_channels() -> None:
    kernel = initial_weights(PRESETS["lenet5"].network((28, 28, 1), 10), 0)["layers.2.kernel"]
    limit = np.sqrt(6 / (5 * 5 * (6 + 16)))
    assert kernel.shape == (5, 5, 6, 16)
    # The largest of 2,400 numbers is close to the limit and never beyond it.
    assert 0.99 * limit < np.abs(kernel).max() <= np.float32(limit)
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)


def test_batch_norm_starts_as_the_identity() -> None:
    network = PRESETS["cnn"].network((28, 28, 1), 10)
    weights = initial_weights(network, 0)
    assert {name: array.shape for name, array in weights.items()} == network.parameter_shapes
    starts = {"bias": 0, "gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}
    for name, array in weights.items():
        what = name.rsplit(".", maxsplit=1)[-1]
        assert array.dtype == np.float32
        assert what == "kernel" or (array == starts[what]).all(), name


def test_only_kernels_are_drawn_so_that_layers_without_kernels_do_not_change_the_others() -> None:
    with_norms = PRESETS["cnn"].network((28, 28, 1), 10)
    kinds = ("conv2d", "flatten", "dense", "max_pool2d")
    layers = [layer for layer in with_norms.layers if layer.kind in kinds]
    without = Network(input_shape=(28, 28, 1), layers=layers)
    both = (
        [array for name, array in initial_weights(network, 3).items() if name.endswith(".kernel")]
        for network in (with_norms, without)
    )
    assert all((one == other).all() for one, other in zip(*both, strict=True))


def test_the_seed_decides_every_number() -> None:
    assert to_bytes(initial_weights(ARTICLE, 7)) == to_bytes(initial_weights(ARTICLE, 7))
    assert to_bytes(initial_weights(ARTICLE, 7)) != to_bytes(initial_weights(ARTICLE, 8))


def test_the_first_numbers_of_seed_0_come_from_pcg64() -> None:
    oracle = np.random.default_rng(0).uniform(-1, 1, 3) * np.sqrt(6 / 794)  # default_rng is PCG64
    assert initial_weights(ARTICLE, 0)["layers.1.kernel"].ravel()[:3] == pytest.approx(oracle, rel=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_are_read_back_bit_for_bit(preset: str) -> None:
    network = PRESETS[preset].network((28, 28, 1), 10)
    weights = initial_weights(network, 3)
    again = from_bytes(to_bytes(weights), network)
    assert again.keys() == weights.keys()
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def broken_files() -> dict[str, bytes]:
    weights = initial_weights(ARTICLE, 0)
    fewer = {name: array for name, array in weights.items() if name != "layers.2.bias"}
    return {
        "cut off": to_bytes(weights)[:-1],
        "no safetensors": b"nonsense",
        "empty": b"",
        "one is missing": to_bytes(fewer),
        "another shape": to_bytes({**weights, "layers.2.bias": np.zeros(9, np.float32)}),
        "another dtype": save({**weights, "layers.2.bias": np.zeros(10, np.float64)}),
    }


@pytest.mark.parametrize("what", broken_files())
def test_a_file_that_does_not_fit_the_network_is_refused(what: str) -> None:
    with pytest.raises(CorruptModelError):
        from_bytes(broken_files()[what], ARTICLE)
