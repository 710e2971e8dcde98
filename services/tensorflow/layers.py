"""Layers that Keras has otherwise."""

from collections.abc import Callable

import keras
import tensorflow as tf

from shared.network.layers import LEAKY_RELU_SLOPE, Activation


def use(precision: str) -> None:
    """Make layers and optimisers in this precision from here on."""
    keras.config.set_floatx(precision)  # optimisers ask for this
    keras.config.set_dtype_policy(precision)  # and layers for this


def activation(
    name: Activation | None,
) -> Callable[[tf.Tensor], tf.Tensor] | str | None:
    """Keras' own, but for a leaky ReLU."""
    return _leaky_relu if name == "leaky_relu" else name


def _leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """Keras' slope is 0.2 by itself, and single precision in any case."""
    return tf.where(x > 0, x, LEAKY_RELU_SLOPE * x)


def seed(model: keras.Model, value: int) -> None:
    """Seed the masks of each dropout.

    `tf.random.set_seed` would not reach them, and makes TensorFlow forget
    the graphs that it has made ready: 50 ms an epoch.
    """
    for index, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            # Each step counts the second number up: layers must not meet.
            layer.seed_generator.state.assign([value, index << 24])


def room_for_outputs(model: keras.Model) -> tf.TensorArray:
    """To gather what the model gives, batch by batch, the last one smaller."""
    return tf.TensorArray(
        model.compute_dtype,
        size=0,
        dynamic_size=True,
        infer_shape=False,
        element_shape=model.output_shape,
    )


def shuffled(count: int, value: int) -> tf.Tensor:
    """An order of `count` examples, int64 [N], that TensorFlow draws."""
    order = tf.range(count, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(order, [value, 0])


class BatchNorm(keras.layers.BatchNormalization):
    """Averages the unbiased variance, and is faster than Keras' own.

    Keras averages the batch's biased variance; the paper's algorithm 2, and
    PyTorch, the unbiased one. TensorFlow's fused operation returns just that;
    it has no double precision, where the same is computed from its parts.
    """

    def __init__(self, momentum: float, epsilon: float) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return super().call(inputs, training=False)
        fits = inputs.dtype == tf.float32
        normal, mean, variance = (_fused if fits else _parts)(
            inputs, self.gamma.value, self.beta.value, self.epsilon
        )
        new = 1 - self.momentum
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + batch * new)
        return normal


Normalised = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def _fused(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> Normalised:
    """(normalised, mean, unbiased variance), by one operation."""
    # It wants [N, H, W, C]: a vector is a picture of one pixel.
    pictures = x if len(x.shape) == 4 else x[:, tf.newaxis, tf.newaxis]
    normal, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=pictures,
        scale=gamma,
        offset=beta,
        mean=[],
        variance=[],
        epsilon=epsilon,
    )
    return tf.reshape(normal, tf.shape(x)), mean, variance


def _parts(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> Normalised:
    """The same by several operations, in any precision."""
    mean, variance = tf.nn.moments(x, [*range(len(x.shape) - 1)])
    normal = tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)
    n = tf.cast(tf.size(x) / tf.size(mean), x.dtype)
    return normal, mean, variance * n / tf.maximum(n - 1, 1)
