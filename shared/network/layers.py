"""The layers that a network is described with, and what each makes of a shape.

Shapes are channels last and leave the batch out. Each layer exists in every
backend and means the same there; where a framework's own piece means something
else, it is adapted beside its backend. This module does no I/O.
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
# One number stands for both sides.
Pair = Annotated[
    tuple[Dimension, Dimension],
    BeforeValidator(lambda value: (value, value) if isinstance(value, int) else value),
    WithJsonSchema({"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}),
]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Layer(Part):
    """By default a layer that keeps its input's shape and has nothing to learn."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {}


class Flatten(_Layer):
    """[h, w, c] -> [h * w * c], in H, W, C order."""

    kind: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)


class Dense(_Layer):
    """[n] -> [units]: activation(x @ kernel + bias)."""

    kind: Literal["dense"] = "dense"
    units: Annotated[int, Field(strict=True, ge=1, le=65_536)]
    activation: Activation | None = None

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise InvalidNetworkError(f"takes one dimension [n], but gets {list(shape)}: put a flatten layer before it")
        return (self.units,)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"kernel": (shape[0], self.units), "bias": (self.units,)}


class _Windowed(_Layer):
    """Slides a window over [h, w, c]; beyond the edge there is padding, or the window stays inside."""

    padding: Literal["valid", "same"] = "valid"

    def window(self) -> tuple[Pair, Pair]:
        """The window's size, and by how much it moves."""
        raise NotImplementedError

    def channels(self, before: int) -> int:
        return before

    def output_shape(self, shape: Shape) -> Shape:
        _check_picture(shape)
        size, strides = self.window()
        if self.padding == "same":
            sides = [-(-side // stride) for side, stride in zip(shape, strides, strict=False)]
        else:
            sides = [(side - edge) // stride + 1 for side, edge, stride in zip(shape, size, strides, strict=False)]
        if min(sides) < 1:
            raise InvalidNetworkError(f"has a window of {list(size)}, which does not fit into its input {list(shape)}")
        return (*sides, self.channels(shape[-1]))

    def pads(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """What `same` adds: (top, bottom), (left, right); the odd one at bottom and right, as in TensorFlow."""
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
    """[h, w, c] -> [h', w', filters]: activation(window * kernel + bias), not flipped; padded with zeros."""

    kind: Literal["conv2d"] = "conv2d"
    filters: Dimension
    kernel_size: Pair
    strides: Pair = (1, 1)
    activation: Activation | None = None

    def window(self) -> tuple[Pair, Pair]:
        return self.kernel_size, self.strides

    def channels(self, before: int) -> int:
        return self.filters

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"kernel": (*self.kernel_size, shape[-1], self.filters), "bias": (self.filters,)}


class _Pool(_Windowed):
    pool_size: Pair = (2, 2)
    strides: Annotated[Pair | None, Field(description="by default the pool's size")] = None

    def window(self) -> tuple[Pair, Pair]:
        return self.pool_size, self.strides or self.pool_size


class MaxPool2D(_Pool):
    """[h, w, c] -> [h', w', c]: the largest value in each window; padding is never the largest."""

    kind: Literal["max_pool2d"] = "max_pool2d"


class AveragePool2D(_Pool):
    """[h, w, c] -> [h', w', c]: the mean of each window; padding does not count."""

    kind: Literal["average_pool2d"] = "average_pool2d"


class GlobalAveragePool2D(_Layer):
    """[h, w, c] -> [c]: the mean over the picture."""

    kind: Literal["global_average_pool2d"] = "global_average_pool2d"

    def output_shape(self, shape: Shape) -> Shape:
        _check_picture(shape)
        return shape[-1:]


class BatchNorm(_Layer):
    """Each channel to mean 0 and variance 1 over the batch, times gamma, plus beta.

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta (Ioffe and Szegedy
    2015, algorithms 1 and 2). Outside training, mean and variance are moving
    averages: `moving = momentum * moving + (1 - momentum) * batch`, where the
    batch's variance is the unbiased one, n / (n - 1) times that of the batch;
    of a single value it is 0.
    """

    kind: Literal["batch_norm"] = "batch_norm"
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.9
    epsilon: Annotated[float, Field(strict=True, ge=1e-6, le=1)] = 1e-3

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), shape[-1:])


class Dropout(_Layer):
    """In training, each value is 0 with probability `rate`, else divided by 1 - rate."""

    kind: Literal["dropout"] = "dropout"
    rate: Annotated[float, Field(strict=True, ge=0, lt=1)]


_Any = Flatten | Dense | Conv2D | MaxPool2D | AveragePool2D | GlobalAveragePool2D | BatchNorm | Dropout
Layer = Annotated[_Any, Field(discriminator="kind")]
LAYER_KINDS = tuple(layer.model_fields["kind"].default for layer in get_args(_Any))


def _check_picture(shape: Shape) -> None:
    if len(shape) != 3:
        raise InvalidNetworkError(f"takes [height, width, channels], but gets {list(shape)}")
