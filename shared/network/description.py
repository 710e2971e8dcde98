"""Framework-neutral description of a network: its layers, shapes, limits and the presets.

A network is data, not code. The gateway validates it when a client sends it, each backend builds it with its own
framework's layers, and the manifest of a model stores it. Shapes are channels last and without the batch dimension.
This module does no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.errors import InvalidNetworkError
from shared.network.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Description,
    Dimension,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    Shape,
)

MAX_LAYERS = 64
MAX_PARAMETERS = 20_000_000
MAX_VALUES = 4_194_304  # of one layer's output for one image: 16 MB in float32


class Network(Description):
    """Layers that turn images uint8 [h, w, c] into logits float32 [classes].

    Scaling the pixels to [0, 1] happens inside the built model. Softmax belongs to the loss and to the prediction.
    Neither is a layer of the description.

    Attributes:
        input_shape: (height, width, channels) of the images.
        layers: The layers from input to output. The last one is dense, without activation.

    Raises:
        InvalidNetworkError: A layer does not fit its input, or the network is too large. The message names the layer.
    """

    input_shape: tuple[Dimension, Dimension, Dimension]
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=MAX_LAYERS)]

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        last = self.layers[-1]
        if len(self.output_shape) != 1 or not isinstance(last, Dense):
            raise InvalidNetworkError(
                f"the last layer ({last.kind}) gives {list(self.output_shape)}: "
                "end with a dense layer, which gives the logits"
            )
        if last.activation is not None:
            raise InvalidNetworkError(
                f"layers.{len(self.layers) - 1} is the last layer and gives the logits: leave its activation out"
            )
        for index, shape in enumerate(self.shapes[1:]):
            if prod(shape) > MAX_VALUES:
                raise InvalidNetworkError(
                    f"layers.{index} ({self.layers[index].kind}) gives {list(shape)} from {list(self.shapes[index])}: "
                    f"that is more than the limit of {MAX_VALUES:,} values"
                )
        if self.parameter_count > MAX_PARAMETERS:
            raise InvalidNetworkError(
                f"the network has {self.parameter_count:,} parameters: "
                f"that is more than the limit of {MAX_PARAMETERS:,}"
            )
        return self

    @property
    def shapes(self) -> list[Shape]:
        """The shape of the input, followed by the shape of each layer's output.

        `zip(network.layers, network.shapes)` therefore pairs each layer with the shape of its input.
        """
        shapes: list[Shape] = [self.input_shape]
        for index, layer in enumerate(self.layers):
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except InvalidNetworkError as error:
                raise InvalidNetworkError(f"layers.{index} ({layer.kind}) {error}") from None
        return shapes

    @property
    def output_shape(self) -> Shape:
        """The shape of the last layer's output: (classes,)."""
        return self.shapes[-1]

    @property
    def parameter_shapes(self) -> dict[str, Shape]:
        """The shape of each array of weights by canonical name, such as {"layers.1.kernel": (784, 10)}."""
        return {
            f"layers.{index}.{name}": shape
            for index, (layer, input_shape) in enumerate(zip(self.layers, self.shapes, strict=False))
            for name, shape in layer.parameter_shapes(input_shape).items()
        }

    @property
    def is_random(self) -> bool:
        """Whether training draws random numbers that differ between frameworks, namely the masks of dropout."""
        return any(isinstance(layer, Dropout) and layer.rate > 0 for layer in self.layers)

    @property
    def parameter_count(self) -> int:
        """How many numbers the weights have, including the moving averages of batch norm."""
        return sum(prod(shape) for shape in self.parameter_shapes.values())


@dataclass(frozen=True)
class Preset:
    """A network with a name, for images of any shape and any number of classes.

    Attributes:
        description: One sentence for the list of networks.
        layers: Takes the number of classes and returns the layers.
    """

    description: str
    layers: Callable[[int], tuple[Layer, ...]]

    def network(self, input_shape: Shape, classes: int) -> Network:
        """Return the network for a dataset.

        Args:
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, and so of logits.

        Raises:
            InvalidNetworkError: The images are too small for the preset's layers.
        """
        return Network.model_validate({"input_shape": input_shape, "layers": self.layers(classes)})


def _relu_conv(filters: int, size: int, padding: Literal["valid", "same"] = "valid") -> Conv2D:
    return Conv2D(filters=filters, kernel_size=(size, size), padding=padding, activation="relu")


# Momentum 0.99 averages over about 100 batches. With 0.9 (10 batches), test accuracy varies by half a per cent.
_NORM = BatchNorm(momentum=0.99)

PRESETS = {
    "article": Preset(
        "The article's network: ten sigmoid units, ten logits",
        lambda classes: (Flatten(), Dense(units=10, activation="sigmoid"), Dense(units=classes)),
    ),
    "mlp": Preset(
        "One hidden layer of 128 ReLU units",
        lambda classes: (Flatten(), Dense(units=128, activation="relu"), Dense(units=classes)),
    ),
    # LeCun et al. 1998. The paper adds a border to reach 32 x 32 pixels; here the first layer's padding does that.
    "lenet5": Preset(
        "LeNet-5, with ReLU and max pooling",
        lambda classes: (
            *(_relu_conv(6, 5, "same"), MaxPool2D(), _relu_conv(16, 5), MaxPool2D(), Flatten()),
            *(Dense(units=120, activation="relu"), Dense(units=84, activation="relu"), Dense(units=classes)),
        ),
    ),
    "cnn": Preset(
        "Convolutions with batch norm and dropout: at least 99.2 % accuracy on MNIST",
        lambda classes: (
            *(_relu_conv(16, 3, "same"), _NORM, MaxPool2D(), _relu_conv(32, 3, "same"), _NORM, MaxPool2D()),
            *(_relu_conv(32, 3, "same"), _NORM, Flatten(), Dropout(rate=0.5), Dense(units=classes)),
        ),
    ),
}
