"""Writes a network as an ONNX model, without the packages of ONNX.

The file depends on the network and its weights alone: not on the framework that trained them, on versions or on the
time. Models of two backends with equal weights therefore become files of equal bytes.

The graph takes `image`, the raw pixels uint8 [N, H, W, C], and returns `probabilities`, float32 [N, classes]. N is any
number. ONNX' image operators want the channels first, so the bytes are transposed before they are converted to floats:
moving one byte per value costs less than moving four. This module does no I/O.

Operators: https://onnx.ai/onnx/operators/. The numbers of the fields: onnx.proto in https://github.com/onnx/onnx.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

import numpy as np

from shared.exports.protobuf import encode_message
from shared.network.description import Network
from shared.network.layers import (
    LEAKY_RELU_SLOPE,
    Activation,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    Shape,
)
from shared.network.weights import Weights

INPUT, OUTPUT = "image", "probabilities"
IR_VERSION, OPSET = 8, 17  # what ONNX 1.12 (2022) introduced: every runtime in use reads it
FLOAT, UINT8 = 1, 2  # TensorProto.DataType
ACTIVATIONS: dict[Activation, str] = {"relu": "Relu", "leaky_relu": "LeakyRelu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
CHANNELS_FIRST, CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]  # permutations of [N, H, W, C] and of [N, C, H, W]

Attribute = int | float | Sequence[int]


def write_onnx(network: Network, weights: Weights) -> bytes:
    """Return the contents of an ONNX file.

    Args:
        network: the description of the layers.
        weights: float32, in the canonical layout.
    """
    graph = _Graph()
    graph.add_constant("scale", np.asarray(1 / 255, np.float32))
    if not isinstance(network.layers[0], Flatten):
        graph.add_node("Transpose", attributes={"perm": CHANNELS_FIRST})
        graph.is_transposed = True
    graph.add_node("Cast", attributes={"to": FLOAT})
    graph.add_node("Mul", ["scale"])
    for index, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=False)):
        name = f"layers.{index}"
        own = {key: array for key, array in weights.items() if key.startswith(f"{name}.")}
        _add_layer(graph, layer, shape, name, own)
    graph.add_node("Softmax", attributes={"axis": 1}, output=OUTPUT)
    return graph.encode_model(network)


class _Graph:
    """A chain of operators: each new node takes the output of the node before it.

    Attributes:
        is_transposed: whether the output of the last node is images with their channels first.
    """

    def __init__(self) -> None:
        self.is_transposed = False
        self._last = INPUT
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def add_constant(self, name: str, array: np.ndarray) -> None:
        """Store an array of float32, such as weights, under a name that nodes refer to."""
        # `np.ascontiguousarray` would make a scalar one-dimensional.
        data = np.asarray(array, "<f4", order="C").tobytes()
        self._constants.append(encode_message({1: list(array.shape), 2: FLOAT, 8: name, 9: data}))

    def add_node(
        self,
        operator: str,
        constants: Sequence[str] = (),
        attributes: Mapping[str, Attribute] | None = None,
        output: str = "",
    ) -> None:
        """Append a node.

        Args:
            operator: of ONNX.
            constants: names of the inputs behind the first one.
            attributes: of the operator.
            output: the name of the node's output; by default a number that tells the node's place.
        """
        output = output or str(len(self._nodes))
        encoded = [_encode_attribute(name, value) for name, value in sorted((attributes or {}).items())]
        inputs = [name.encode() for name in (self._last, *constants)]
        self._nodes.append(encode_message({1: inputs, 2: output, 4: operator, 5: encoded}))
        self._last = output

    def encode_model(self, network: Network) -> bytes:
        """Return the whole model."""
        graph = encode_message(
            {
                1: self._nodes,
                2: "network",
                5: self._constants,
                11: _encode_tensor_type(INPUT, UINT8, network.input_shape),
                12: _encode_tensor_type(OUTPUT, FLOAT, network.output_shape),
            }
        )
        return encode_message({1: IR_VERSION, 2: "tandem", 7: graph, 8: encode_message({1: "", 2: OPSET})})


def _encode_attribute(name: str, value: Attribute) -> bytes:
    """Return an AttributeProto: a number or a list of integers, the number of whose field depends on its type."""
    match value:
        case float():
            return encode_message({1: name, 2: value, 20: 1})
        case int():
            return encode_message({1: name, 3: value, 20: 2})
    return encode_message({1: name, 8: value, 20: 7})


def _encode_tensor_type(name: str, dtype: int, shape: Shape) -> bytes:
    """Return a ValueInfoProto: the name, the dtype and the shape [N, ...] of an input or output."""
    sizes = [encode_message({2: "N"}), *(encode_message({1: size}) for size in shape)]
    encoded_shape = encode_message({1: sizes})
    return encode_message({1: name, 2: encode_message({1: encode_message({1: dtype, 2: encoded_shape})})})


def _add_layer(graph: _Graph, layer: Layer, shape: Shape, name: str, weights: Weights) -> None:
    """Append the nodes of a layer.

    Args:
        graph: gets the nodes and the weights.
        layer: the description of the layer.
        shape: the shape of its input, channels last.
        name: the layer's, such as `layers.1`.
        weights: the layer's own.
    """
    match layer:
        case Flatten():
            if graph.is_transposed:  # the canonical order is height, width, channel
                graph.add_node("Transpose", attributes={"perm": CHANNELS_LAST})
                graph.is_transposed = False
            graph.add_node("Flatten", attributes={"axis": 1})
        case Dense():
            _add_weights(graph, weights)
            graph.add_node("Gemm", [f"{name}.kernel", f"{name}.bias"])
            _add_activation(graph, layer.activation)
        case Conv2D():
            kernel = weights[f"{name}.kernel"].transpose(3, 2, 0, 1)  # [h, w, in, out] to ONNX' [out, in, h, w]
            _add_weights(graph, {**weights, f"{name}.kernel": kernel})
            graph.add_node("Conv", [f"{name}.kernel", f"{name}.bias"], _window_of(layer, shape))
            _add_activation(graph, layer.activation)
        case MaxPool2D():
            graph.add_node("MaxPool", attributes=_window_of(layer, shape))
        case AveragePool2D():
            graph.add_node("AveragePool", attributes={"count_include_pad": 0, **_window_of(layer, shape)})
        case GlobalAveragePool2D():
            graph.add_node("GlobalAveragePool")  # [N, C, 1, 1]
            graph.add_node("Flatten", attributes={"axis": 1})
            graph.is_transposed = False
        case BatchNorm():
            _add_weights(graph, weights)
            parameters = [f"{name}.{part}" for part in layer.parameter_shapes(shape)]
            graph.add_node("BatchNormalization", parameters, {"epsilon": layer.epsilon})
        case Dropout():
            pass  # it changes nothing outside training
        case _:
            assert_never(layer)


def _add_weights(graph: _Graph, weights: Weights) -> None:
    for name in sorted(weights):
        graph.add_constant(name, weights[name])


def _add_activation(graph: _Graph, activation: Activation | None) -> None:
    if activation == "leaky_relu":
        graph.add_node("LeakyRelu", attributes={"alpha": LEAKY_RELU_SLOPE})
    elif activation:
        graph.add_node(ACTIVATIONS[activation])


def _window_of(layer: Conv2D | MaxPool2D | AveragePool2D, shape: Shape) -> dict[str, list[int]]:
    """Return the attributes of an operator that slides a window."""
    size, strides = layer.window()
    (top, bottom), (left, right) = layer.pads(shape)
    return {"kernel_shape": list(size), "pads": [top, left, bottom, right], "strides": list(strides)}
