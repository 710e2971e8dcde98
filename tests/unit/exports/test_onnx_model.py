"""The ONNX writer: ONNX' own library accepts and repeats its bytes, and onnxruntime computes what NumPy computes."""

from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest

from shared.exports.onnx_model import write_onnx
from shared.network.description import PRESETS, Network
from shared.network.layers import LAYER_KINDS
from shared.network.reference import forward
from tests.backend.random_examples import (
    OPTIONS,
    options,
    random_network,
    random_optimizer,
    random_split,
    random_weights,
)

NETWORKS = {seed: random_network(Random(seed)) for seed in range(60)}


def open_session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(data: bytes, images: np.ndarray) -> np.ndarray:
    return open_session(data).run(None, {"image": images})[0]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_the_random_networks_have_every_kind_of_layer_with_every_option() -> None:
    assert {layer.kind for network in NETWORKS.values() for layer in network.layers} == set(LAYER_KINDS)
    seen = {
        option for network in NETWORKS.values() for option in options(network, random_optimizer(Random(0), network))
    }
    assert {option for option in OPTIONS if option.split()[0] in LAYER_KINDS} <= seen


@pytest.mark.parametrize("network", NETWORKS.values(), ids=map(str, NETWORKS))
def test_onnxruntime_computes_what_the_reference_computes(network: Network) -> None:
    weights, images = random_weights(network, 1), random_split(network, 9, 2).images
    data = write_onnx(network, weights)
    expected = softmax(forward(network, weights, images, training=False)[-1])
    assert np.abs(run(data, images) - expected).max() < 2e-6


@pytest.mark.parametrize("network", NETWORKS.values(), ids=map(str, NETWORKS))
def test_the_bytes_are_those_that_the_library_of_onnx_writes(network: Network) -> None:
    data = write_onnx(network, random_weights(network, 1))
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.SerializeToString(deterministic=True) == data


def test_input_and_output_have_names_and_take_any_number_of_pictures() -> None:
    network = PRESETS["lenet5"].network((28, 28, 1), 10)
    session = open_session(write_onnx(network, random_weights(network, 0)))
    (image,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["N", 28, 28, 1])
    assert (probabilities.name, probabilities.type, probabilities.shape) == (
        *("probabilities", "tensor(float)"),
        ["N", 10],
    )
    for count in (1, 3):
        answers = session.run(None, {"image": random_split(network, count, 0).images})[0]
        assert answers.sum(1) == pytest.approx(np.ones(count))


def test_the_file_depends_on_the_weights_and_not_on_how_they_are_stored() -> None:
    network = PRESETS["cnn"].network((28, 28, 1), 10)
    weights = random_weights(network, 0)
    data = write_onnx(network, weights)
    stored_otherwise = {name: np.asfortranarray(array) for name, array in reversed(weights.items())}
    assert write_onnx(network, stored_otherwise) == data
    weights["layers.0.bias"][0] += 1
    assert write_onnx(network, weights) != data
    assert len(data) < 1.01 * 4 * network.parameter_count + 4096
