"""Network families: networks that a few numbers describe, for a search over networks.

A family turns its numbers into a network that fits the dataset, whatever the pictures' size: pooling stops before the
picture vanishes, and what would be too large is averaged first. This module does no I/O.
"""

from typing import Annotated, Literal

from pydantic import Field

from shared.network.description import Network
from shared.network.layers import (
    Activation,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Description,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    Shape,
)

# More values than this are reduced by averaging before a dense layer, or before the first convolution (per channel).
# With the largest width (1,024), a dense layer then stays below the limit of a network's parameters.
MAX_VALUES_IN = 16_384
MAX_FILTERS = 256

Width = Annotated[int, Field(strict=True, ge=1, le=1024)]
Share = Annotated[float, Field(strict=True, ge=0, le=0.9)]


class MlpFamily(Description):
    """Dense layers of equal width.

    Attributes:
        depth: number of hidden layers; with 0, the logits are a linear function of the pixels.
        width: units of each hidden layer.
        activation: of the hidden layers.
        dropout: rate after each hidden layer; 0 means no dropout layers.
    """

    family: Literal["mlp"] = "mlp"
    depth: Annotated[int, Field(strict=True, ge=0, le=16)] = 1
    width: Width = 128
    activation: Activation = "relu"
    dropout: Share = 0.0

    def network(self, input_shape: Shape, classes: int) -> Network:
        """Return the network for a dataset.

        Args:
            input_shape: (height, width, channels) of the pictures.
            classes: number of classes, and so of logits.

        Raises:
            InvalidNetworkError: the network is larger than networks may be.
        """
        height, width, channels = input_shape
        layers: list[Layer] = [*_average_down((height, width), MAX_VALUES_IN // channels), Flatten()]
        for _ in range(self.depth):
            layers += [Dense(units=self.width, activation=self.activation), *_dropout(self.dropout)]
        return _network(input_shape, [*layers, Dense(units=classes)])


class CnnFamily(Description):
    """Blocks of a convolution and a pooling layer, then dense layers.

    Each pooling layer halves the picture, and the next block then has twice as many filters, up to 256. When a side
    of the picture has one pixel left, the blocks have no pooling layer and keep their number of filters. The last
    block's values enter the dense layers one by one, or, if they are more than 16,384, as one mean per channel.

    Attributes:
        blocks: number of blocks.
        filters: of the first block.
        kernel: side of the convolutions' kernels in pixels.
        batch_norm: whether a batch norm layer follows each convolution.
        pooling: how pooling reduces a window of 2 x 2 pixels.
        dense_layers: number of dense layers before the logits.
        dense_width: units of each of them.
        activation: of the convolutions and the dense layers.
        dropout: rate before each dense layer, that of the logits included; 0 means no dropout layers.
    """

    family: Literal["cnn"] = "cnn"
    blocks: Annotated[int, Field(strict=True, ge=1, le=6)] = 2
    filters: Annotated[int, Field(strict=True, ge=1, le=MAX_FILTERS)] = 16
    kernel: Annotated[int, Field(strict=True, ge=1, le=7)] = 3
    batch_norm: Annotated[bool, Field(strict=True)] = True
    pooling: Literal["max", "average"] = "max"
    dense_layers: Annotated[int, Field(strict=True, ge=0, le=8)] = 0
    dense_width: Width = 64
    activation: Activation = "relu"
    dropout: Share = 0.0

    def network(self, input_shape: Shape, classes: int) -> Network:
        """Return the network for a dataset; takes and raises the same as `MlpFamily.network`."""
        height, width, channels = input_shape
        layers: list[Layer] = _average_down((height, width), MAX_VALUES_IN)
        for layer in layers:
            height, width, channels = layer.output_shape((height, width, channels))
        filters = self.filters
        for _ in range(self.blocks):
            layers.append(self._convolution(filters))
            if self.batch_norm:
                layers.append(BatchNorm())
            channels = filters
            if min(height, width) > 1:
                layers.append(MaxPool2D() if self.pooling == "max" else AveragePool2D())
                height, width, filters = height // 2, width // 2, min(2 * filters, MAX_FILTERS)
        layers.append(Flatten() if height * width * channels <= MAX_VALUES_IN else GlobalAveragePool2D())
        for _ in range(self.dense_layers):
            layers += [*_dropout(self.dropout), Dense(units=self.dense_width, activation=self.activation)]
        return _network(input_shape, [*layers, *_dropout(self.dropout), Dense(units=classes)])

    def _convolution(self, filters: int) -> Conv2D:
        size = (self.kernel, self.kernel)
        return Conv2D(filters=filters, kernel_size=size, padding="same", activation=self.activation)


NetworkFamily = MlpFamily | CnnFamily
FAMILIES: dict[str, type[NetworkFamily]] = {"mlp": MlpFamily, "cnn": CnnFamily}


def _average_down(sides: tuple[int, int], largest: int) -> list[Layer]:
    """Return a pooling layer after which a channel of a picture has at most `largest` values, or no layer."""
    window = [1, 1]
    reduced = list(sides)
    while reduced[0] * reduced[1] > largest:
        longer = 0 if reduced[0] >= reduced[1] else 1
        window[longer] += 1
        reduced[longer] = sides[longer] // window[longer]
    return [AveragePool2D(pool_size=(window[0], window[1]))] if window != [1, 1] else []


def _dropout(rate: float) -> list[Layer]:
    return [Dropout(rate=rate)] if rate else []


def _network(input_shape: Shape, layers: list[Layer]) -> Network:
    return Network.model_validate({"input_shape": input_shape, "layers": layers})
