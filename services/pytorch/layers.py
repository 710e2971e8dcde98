"""PyTorch layers that are adapted to the shared definitions.

shared/network/layers.py defines what each layer computes. Its twin,
services/tensorflow/layers.py, has the same public names. A name that only
one side needs is marked `# Only in ...` with the reason.

Tensors inside a model have shape [N, C, H, W] or [N, units].
"""

import torch
from torch import nn
from torch.nn import functional

from shared.network import layers as described
from shared.network.layers import LEAKY_RELU_SLOPE, Activation

Size = tuple[int, int]
Pads = tuple[Size, Size]


def activation(name: Activation | None) -> nn.Module | None:
    """Return the module of an activation, or None for no activation."""
    match name:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(LEAKY_RELU_SLOPE)
        case "sigmoid":
            return nn.Sigmoid()
        case "tanh":
            return nn.Tanh()
        case None:
            return None


class Rescaling(nn.Module):
    """Convert images uint8 [N, H, W, C] to [N, C, H, W] times `scale`.

    PyTorch has no such layer. It multiplies like Keras' Rescaling, because
    dividing by 255 rounds differently. The result has the model's precision:
    `model.to(dtype)` converts the buffer, and the buffer decides.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scaled images, stored channels last in memory."""
        scale = self.scale
        return images.permute(0, 3, 1, 2).to(scale.dtype) * scale


class BatchNorm(nn.Module):
    """Batch normalisation with the canonical parameter names.

    PyTorch's BatchNorm refuses a training batch with a single value per
    channel, because the unbiased variance of one value is undefined. Here
    that variance is 0, as in Keras.
    """

    def __init__(self, layer: described.BatchNorm, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_variance", torch.ones(channels))
        # PyTorch's momentum is the weight of the new value, not of the old.
        self.momentum = 1 - layer.momentum
        self.epsilon = layer.epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x; in training, also update the moving averages."""
        if self.training and x.numel() == x.shape[1]:
            self.moving_mean.lerp_(x.detach().flatten(), self.momentum)
            self.moving_variance.mul_(1 - self.momentum)
            # x - mean is 0; x * 0 keeps x in the graph of the gradients.
            return self.gamma.view_as(x) * (x * 0) + self.beta.view_as(x)
        return functional.batch_norm(
            x,
            self.moving_mean,
            self.moving_variance,
            self.gamma,
            self.beta,
            self.training,
            self.momentum,
            self.epsilon,
        )


# Only in PyTorch: Keras layers have an argument for the activation.
def activated(layer: nn.Module, name: Activation | None) -> nn.Module:
    """Return the layer followed by an activation, as one module."""
    module = activation(name)
    return layer if module is None else nn.Sequential(layer, module)


# Only in PyTorch: Keras stores channels last, so its own Flatten fits.
class Flatten(nn.Module):
    """Flatten [N, C, H, W] to [N, H * W * C], in H, W, C order.

    This copies nothing when the channels are stored last in memory.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x as [N, values]."""
        if x.ndim == 4:
            x = x.permute(0, 2, 3, 1)
        return x.flatten(1)


# Only in PyTorch: Keras layers pad by themselves.
def padded(layer: nn.Module, pads: Pads, value: float = 0.0) -> nn.Module:
    """Return the layer with padding in front of it.

    Args:
        layer: A convolution or pooling layer.
        pads: ((top, bottom), (left, right)) in pixels.
        value: The value of the padded pixels.
    """
    (top, bottom), (left, right) = pads
    if isinstance(layer, nn.Conv2d) and (top, left) == (bottom, right):
        # A convolution pads symmetrically by itself, without a copy.
        layer.padding = (top, left)
    elif any((top, bottom, left, right)):
        padding = nn.ConstantPad2d((left, right, top, bottom), value)
        return nn.Sequential(padding, layer)
    return layer


# Only in PyTorch: Keras' own layer does not count padding.
class AveragePool2D(nn.Module):
    """The mean of each window, without the padded pixels."""

    def __init__(self, size: Size, strides: Size, pads: Pads) -> None:
        super().__init__()
        self.pool = padded(nn.AvgPool2d(size, strides), pads)
        self.is_padded = isinstance(self.pool, nn.Sequential)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of each window."""
        if not self.is_padded:
            return self.pool(x)
        # The mean of ones is the share of the window inside the image.
        return self.pool(x) / self.pool(torch.ones_like(x[:1, :1]))
