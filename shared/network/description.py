"""A framework-neutral description of a network: presets, shapes, limits.

A network is data, not code: the gateway checks it when it is described, each
backend builds it with its own framework's layers, and the manifest carries
it. Shapes are channels last and leave the batch out. This module does no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.errors import InvalidNetworkError
from shared.network.layers import BatchNorm, Conv2D, Dense, Dimension, Dropout, Flatten, Layer, MaxPool2D, Part, Shape

MAX_LAYERS = 64
MAX_PARAMETERS = 20_000_000
MAX_VALUES = 4_194_304  # that a layer may give for one picture: 16 MB in float32


class Network(Part):
    """Layers from pictures `uint8 [h, w, c]` to logits `float32 [classes]`.

    Scaling to [0, 1] happens inside the built model, softmax belongs to loss
    and prediction: neither is a layer here.

    Raises:
        InvalidNetworkError: a layer does not fit; the message names it.
    """

    input_shape: tuple[Dimension, Dimension, Dimension]
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=MAX_LAYERS)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        last = self.layers[-1]
        if len(self.output_shape) != 1 or not isinstance(last, Dense):
            raise InvalidNetworkError(
                f"the last layer ({last.kind}) gives {list(self.output_shape)}: end with a dense layer, for the logits"
            )
        if last.activation is not None:
            raise InvalidNetworkError(
                f"layers.{len(self.layers) - 1} is the last one and gives logits: leave its activation out"
            )
        for index, shape in enumerate(self.shapes[1:]):
            if prod(shape) > MAX_VALUES:
                raise InvalidNetworkError(
                    f"layers.{index} ({self.layers[index].kind}) gives {list(shape)} from {list(self.shapes[index])}: "
                    f"more than the limit of {MAX_VALUES:,} values"
                )
        if self.parameter_count > MAX_PARAMETERS:
            raise InvalidNetworkError(
                f"{self.parameter_count:,} parameters are more than the limit of {MAX_PARAMETERS:,}"
            )
        return self

    @property
    def shapes(self) -> list[Shape]:
        """The input's shape, then every layer's output shape."""
        shapes: list[Shape] = [self.input_shape]
        for index, layer in enumerate(self.layers):
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except InvalidNetworkError as error:
                raise InvalidNetworkError(f"layers.{index} ({layer.kind}) {error}") from None
        return shapes

    @property
    def output_shape(self) -> Shape:
        return self.shapes[-1]

    @property
    def parameter_shapes(self) -> dict[str, Shape]:
        """Canonical name -> shape, such as `layers.1.kernel` -> (784, 10)."""
        return {
            f"layers.{index}.{name}": shape
            for index, (layer, before) in enumerate(zip(self.layers, self.shapes, strict=False))
            for name, shape in layer.parameter_shapes(before).items()
        }

    @property
    def is_random(self) -> bool:
        """Whether training draws numbers that differ between frameworks: dropout's masks."""
        return any(isinstance(layer, Dropout) and layer.rate > 0 for layer in self.layers)

    @property
    def parameter_count(self) -> int:
        return sum(prod(shape) for shape in self.parameter_shapes.values())


@dataclass(frozen=True)
class Preset:
    """A named network that takes the shape and the classes of a dataset."""

    description: str
    layers: Callable[[int], tuple[Layer, ...]]

    def network(self, input_shape: Shape, classes: int) -> Network:
        return Network.model_validate({"input_shape": input_shape, "layers": self.layers(classes)})


def _conv(filters: int, size: int, padding: Literal["valid", "same"] = "valid") -> Conv2D:
    return Conv2D(filters=filters, kernel_size=(size, size), padding=padding, activation="relu")


NORM = BatchNorm(momentum=0.99)  # an average over some 100 batches: over 10, test accuracy jumps by half a per cent

PRESETS = {
    "article": Preset(
        "The article's own network: ten sigmoid units, ten logits",
        lambda classes: (Flatten(), Dense(units=10, activation="sigmoid"), Dense(units=classes)),
    ),
    "mlp": Preset(
        "One hidden layer of 128 relu units",
        lambda classes: (Flatten(), Dense(units=128, activation="relu"), Dense(units=classes)),
    ),
    # LeCun et al. 1998; its 32 x 32 input is 28 x 28 with a border, here the padding of the first layer.
    "lenet5": Preset(
        "LeNet-5, with relu and max pooling",
        lambda classes: (
            *(_conv(6, 5, "same"), MaxPool2D(), _conv(16, 5), MaxPool2D(), Flatten()),
            *(Dense(units=120, activation="relu"), Dense(units=84, activation="relu"), Dense(units=classes)),
        ),
    ),
    "cnn": Preset(
        "Convolutions with batch norm, and dropout: 99.2 % and more on MNIST",
        lambda classes: (
            *(_conv(16, 3, "same"), NORM, MaxPool2D(), _conv(32, 3, "same"), NORM, MaxPool2D()),
            *(_conv(32, 3, "same"), NORM, Flatten(), Dropout(rate=0.5), Dense(units=classes)),
        ),
    ),
}
