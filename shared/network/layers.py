"""Descriptions of the layers of a network, and the shapes they compute.

Each class describes one kind of layer: its fields, its output shape and the shapes of its weights. Every backend builds
it with its framework's own layer, or with an adapted one where the framework computes something else. Shapes are
channels last and without the batch dimension: [height, width, channels] or [units]. This module does no I/O.
"""

from math import prod
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from shared.errors import InvalidNetworkError

LEAKY_RELU_SLOPE = 0.01

Shape = tuple[int, ...]
Activation = Literal["relu", "leaky_relu", "sigmoid", "tanh"]
Dimension = Annotated[int, Field(strict=True, ge=1, le=4096)]
_SIDE = {"type": "integer", "minimum": 1, "maximum": 4096}
# (height, width). A single number in JSON stands for both.
Pair = Annotated[
    tuple[Dimension, Dimension],
    BeforeValidator(lambda value: (value, value) if isinstance(value, int) else value),
    WithJsonSchema({"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}),
]


class Description(BaseModel):
    """Base class of networks and layers: immutable, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Layer(Description):
    """Base class of the layers. By default a layer keeps the shape of its input and has no weights."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the layer's output.

        Args:
            shape: Shape of the input, without the batch.

        Raises:
            InvalidNetworkError: The layer cannot take an input of this shape. The message continues a sentence that
                begins with the layer's name, such as "layers.0 (dense)".
        """
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return the shapes of the layer's weights by name, such as {"kernel": (784, 10), "bias": (10,)}.

        Args:
            shape: Shape of the input, without the batch.
        """
        return {}


class Flatten(_Layer):
    """[h, w, c] -> [h * w * c], in the order height, width, channel."""

    kind: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        """Return one dimension with all values."""
        return (prod(shape),)


class Dense(_Layer):
    """[n] -> [units]: activation(x @ kernel + bias)."""

    kind: Literal["dense"] = "dense"
    units: Annotated[int, Field(strict=True, ge=1, le=65_536)]
    activation: Activation | None = None

    def output_shape(self, shape: Shape) -> Shape:
        """Return [units].

        Raises:
            InvalidNetworkError: The input has more than one dimension.
        """
        if len(shape) != 1:
            raise InvalidNetworkError(f"takes one dimension [n], but gets {list(shape)}: put a flatten layer before it")
        return (self.units,)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return a kernel [n, units] and a bias [units]."""
        return {"kernel": (shape[0], self.units), "bias": (self.units,)}


class _Windowed(_Layer):
    """Base class of the layers that slide a window over [h, w, c].

    With `valid` padding the window stays inside the image. With `same` padding the image is extended so that there is
    one output for each stride: output side = ceil(input side / stride).
    """

    padding: Literal["valid", "same"] = "valid"

    def window(self) -> tuple[Pair, Pair]:
        """Return the size of the window and its strides, each as (height, width) in pixels."""
        raise NotImplementedError

    def output_channels(self, input_channels: int) -> int:
        """Return the number of output channels."""
        return input_channels

    def output_shape(self, shape: Shape) -> Shape:
        """Return [h', w', channels].

        Raises:
            InvalidNetworkError: The input is not an image, or the window is larger than the image.
        """
        _check_is_image(shape)
        size, strides = self.window()
        if self.padding == "same":
            sides = [-(-side // stride) for side, stride in zip(shape, strides, strict=False)]
        else:
            sides = [(side - edge) // stride + 1 for side, edge, stride in zip(shape, size, strides, strict=False)]
        if min(sides) < 1:
            raise InvalidNetworkError(f"has a window of {list(size)}, which does not fit into its input {list(shape)}")
        return (*sides, self.output_channels(shape[-1]))

    def pads(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the padding as ((top, bottom), (left, right)) in pixels.

        As in TensorFlow, an odd number of rows or columns puts the additional one at the bottom or at the right
        (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
        """
        if self.padding == "valid":
            return (0, 0), (0, 0)
        height, width = (
            max((after - 1) * stride + edge - side, 0)
            for after, stride, edge, side in zip(
                self.output_shape(shape), self.window()[1], self.window()[0], shape, strict=False
            )
        )
        return (height // 2, height - height // 2), (width // 2, width - width // 2)


class Conv2D(_Windowed):
    """[h, w, c] -> [h', w', filters]: activation(sum of window * kernel, plus bias).

    The kernel is not flipped (cross-correlation). Padding is zeros.
    """

    kind: Literal["conv2d"] = "conv2d"
    filters: Dimension
    kernel_size: Pair
    strides: Pair = (1, 1)
    activation: Activation | None = None

    def window(self) -> tuple[Pair, Pair]:
        """Return the kernel's size and the strides."""
        return self.kernel_size, self.strides

    def output_channels(self, input_channels: int) -> int:
        """Return the number of filters."""
        return self.filters

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return a kernel [kernel height, kernel width, c, filters] and a bias [filters]."""
        return {"kernel": (*self.kernel_size, shape[-1], self.filters), "bias": (self.filters,)}


class _Pool(_Windowed):
    pool_size: Pair = (2, 2)
    strides: Annotated[Pair | None, Field(description="by default the pool's size")] = None

    def window(self) -> tuple[Pair, Pair]:
        """Return the pool's size and the strides."""
        return self.pool_size, self.strides or self.pool_size


class MaxPool2D(_Pool):
    """[h, w, c] -> [h', w', c]: the largest value in each window. Padding never is the largest."""

    kind: Literal["max_pool2d"] = "max_pool2d"


class AveragePool2D(_Pool):
    """[h, w, c] -> [h', w', c]: the mean of each window. Padding is not counted."""

    kind: Literal["average_pool2d"] = "average_pool2d"


class GlobalAveragePool2D(_Layer):
    """[h, w, c] -> [c]: the mean of each channel."""

    kind: Literal["global_average_pool2d"] = "global_average_pool2d"

    def output_shape(self, shape: Shape) -> Shape:
        """Return [c].

        Raises:
            InvalidNetworkError: The input is not an image.
        """
        _check_is_image(shape)
        return shape[-1:]


class BatchNorm(_Layer):
    """Normalise each channel to mean 0 and variance 1, then multiply by gamma and add beta.

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta (Ioffe and Szegedy 2015, algorithms 1 and 2).

    In training, mean and variance are those of the batch. Otherwise they are moving averages, which training updates:
    moving = momentum * moving + (1 - momentum) * batch. The moving average takes the unbiased variance of the batch,
    n / (n - 1) times the biased one. For a single value (n = 1) that variance is 0.
    """

    kind: Literal["batch_norm"] = "batch_norm"
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.9
    epsilon: Annotated[float, Field(strict=True, ge=1e-6, le=1)] = 1e-3

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return four vectors with one number for each channel."""
        return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), shape[-1:])


class Dropout(_Layer):
    """In training, set each value to 0 with probability `rate`, and divide the others by 1 - rate.

    Outside training the values stay as they are. Source: Srivastava et al. 2014.
    """

    kind: Literal["dropout"] = "dropout"
    rate: Annotated[float, Field(strict=True, ge=0, lt=1)]


_AnyLayer = Flatten | Dense | Conv2D | MaxPool2D | AveragePool2D | GlobalAveragePool2D | BatchNorm | Dropout
# One of the layers; the field `kind` tells which.
Layer = Annotated[_AnyLayer, Field(discriminator="kind")]
LAYER_KINDS = tuple(layer.model_fields["kind"].default for layer in get_args(_AnyLayer))


def _check_is_image(shape: Shape) -> None:
    if len(shape) != 3:
        raise InvalidNetworkError(f"takes an image [height, width, channels], but gets {list(shape)}")
