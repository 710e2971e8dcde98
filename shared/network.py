"""A framework-neutral description of a network: layers, presets, shapes.

A network is data, not code: the gateway checks it when it is described, each
backend builds it with its own framework's layers, and the manifest carries
it. Shapes are channels last and leave the batch out. This module does no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import InvalidNetworkError

MAX_LAYERS = 64
MAX_PARAMETERS = 20_000_000

Shape = tuple[int, ...]
Activation = Literal["relu", "sigmoid"]
Dimension = Annotated[int, Field(ge=1, le=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Flatten(_Part):
    """[h, w, c] -> [h * w * c], in H, W, C order."""

    kind: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {}


class Dense(_Part):
    """[n] -> [units]: activation(x @ kernel + bias)."""

    kind: Literal["dense"] = "dense"
    units: Annotated[int, Field(ge=1, le=65_536)]
    activation: Activation | None = None

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise InvalidNetworkError(f"takes one dimension [n], but gets {list(shape)}: put a flatten layer before it")
        return (self.units,)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"kernel": (shape[0], self.units), "bias": (self.units,)}


Layer = Annotated[Flatten | Dense, Field(discriminator="kind")]


class Network(_Part):
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
    def parameter_count(self) -> int:
        return sum(prod(shape) for shape in self.parameter_shapes.values())


@dataclass(frozen=True)
class Preset:
    """A named network that takes the shape and the classes of a dataset."""

    description: str
    layers: Callable[[int], tuple[Layer, ...]]

    def network(self, input_shape: Shape, classes: int) -> Network:
        return Network.model_validate({"input_shape": input_shape, "layers": self.layers(classes)})


PRESETS = {
    "article": Preset(
        "The article's own network: ten sigmoid units, ten logits",
        lambda classes: (Flatten(), Dense(units=10, activation="sigmoid"), Dense(units=classes)),
    ),
    "mlp": Preset(
        "One hidden layer of 128 relu units",
        lambda classes: (Flatten(), Dense(units=128, activation="relu"), Dense(units=classes)),
    ),
}
