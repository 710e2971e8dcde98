"""Keras layers that are adapted to the shared definitions.

shared/network/layers.py defines what each layer computes. Its twin,
services/pytorch/layers.py, has the same public names. A name that only one
side needs is marked `# Only in ...` with the reason.

Tensors have shape [N, H, W, C] or [N, units].
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from shared.network import layers as described
from shared.network.layers import LEAKY_RELU_SLOPE, Activation


def activation(
    name: Activation | None,
) -> Callable[[tf.Tensor], tf.Tensor] | str | None:
    """Return Keras' own name for an activation, or a function."""
    return _leaky_relu if name == "leaky_relu" else name


def _leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """Keras' own uses a slope of 0.2 and rounds it to float32."""
    return tf.where(x > 0, x, LEAKY_RELU_SLOPE * x)


class Rescaling(keras.layers.Rescaling):
    """Multiply images by `scale`, in the model's precision.

    Keras rounds a Python float to float32; a NumPy double it leaves alone.
    """

    def __init__(self, scale: float) -> None:
        super().__init__(np.float64(scale))


class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation whose moving average takes the unbiased variance.

    Keras averages the biased variance of each batch. The paper (Ioffe and
    Szegedy 2015, algorithm 2) and PyTorch average the unbiased variance.
    TensorFlow's fused operation returns that one, and is faster than Keras'
    layer. It exists in float32 only; in float64 the same is computed from
    several operations.
    """

    def __init__(self, layer: described.BatchNorm) -> None:
        super().__init__(momentum=layer.momentum, epsilon=layer.epsilon)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalise inputs; in training, also update the moving averages."""
        if not training:
            return super().call(inputs, training=False)
        normalize = _fused if inputs.dtype == tf.float32 else _composed
        outputs, mean, variance = normalize(
            inputs, self.gamma.value, self.beta.value, self.epsilon
        )
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            new = batch * (1 - self.momentum)
            moving.assign(moving * self.momentum + new)
        return outputs


# The normalised tensor, the batch's mean and its unbiased variance.
_Normalized = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def _fused(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> _Normalized:
    # The operation expects images: a vector becomes an image of one pixel.
    images = x if len(x.shape) == 4 else x[:, tf.newaxis, tf.newaxis]
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=gamma,
        offset=beta,
        mean=[],
        variance=[],
        epsilon=epsilon,
    )
    return tf.reshape(outputs, tf.shape(x)), mean, variance


def _composed(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> _Normalized:
    mean, variance = tf.nn.moments(x, [*range(len(x.shape) - 1)])
    outputs = tf.nn.batch_normalization(
        x, mean, variance, beta, gamma, epsilon
    )
    n = tf.cast(tf.size(x) / tf.size(mean), x.dtype)
    return outputs, mean, variance * n / tf.maximum(n - 1, 1)


# Only in TensorFlow: a PyTorch model is converted after it was built.
def use_precision(precision: str) -> None:
    """Create layers, losses and optimisers in this dtype from now on."""
    keras.config.set_floatx(precision)  # losses and optimisers
    keras.config.set_dtype_policy(precision)  # layers


# Only in TensorFlow: a PyTorch loop collects tensors in a Python list.
def logits_array(model: keras.Model) -> tf.TensorArray:
    """Return an empty array for the logits of each batch.

    A graph cannot append to a Python list. The batches may differ in size.
    """
    return tf.TensorArray(
        model.compute_dtype,
        size=0,
        dynamic_size=True,
        infer_shape=False,
        element_shape=model.output_shape,
    )


# Only in TensorFlow: names of parameters cost nothing in PyTorch.
def number(stack: list[keras.Layer]) -> list[keras.Layer]:
    """Name layers by their places in the network, and return them.

    By default, Keras gives each layer of a process another name. TensorFlow
    keeps 34 kB for ever for each new name of a variable, so a predictor
    would grow with every model that it loads.
    """
    for place, layer in enumerate(stack):
        layer.name = f"layer_{place}"
    return stack
