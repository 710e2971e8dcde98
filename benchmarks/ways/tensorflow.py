"""Four programs in TensorFlow. All use as many threads per operation as Tandem does, and train on the CPU."""

from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf
from keras import layers

from benchmarks.ways import given, ours
from benchmarks.ways.given import BATCH, EVALUATION_BATCH, LEARNING_RATE, MOMENTUM, SEED, WITHOUT_END, Clock
from services.tensorflow import backend
from shared.data import batches

versions = backend.versions


def network_of(name: str, batch_norm: Callable[[], keras.Layer] = layers.BatchNormalization) -> keras.Sequential:
    """Build a preset with Keras' own layers."""
    conv = partial(layers.Conv2D, activation="relu")
    norm = partial(batch_norm, momentum=0.9, epsilon=1e-3)
    pool = layers.MaxPooling2D
    stacks = {
        "article": lambda: [layers.Flatten(), layers.Dense(10, "sigmoid"), layers.Dense(10)],
        "lenet5": lambda: [
            *(conv(6, 5, padding="same"), pool(), conv(16, 5), pool(), layers.Flatten()),
            *(layers.Dense(120, "relu"), layers.Dense(84, "relu"), layers.Dense(10)),
        ],
        "cnn": lambda: [
            *(conv(16, 3, padding="same"), norm(), pool(), conv(32, 3, padding="same"), norm(), pool()),
            *(conv(32, 3, padding="same"), norm(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(10)),
        ],
    }
    return keras.Sequential([keras.Input((28, 28, 1)), *stacks[name]()])


class Clocked(keras.callbacks.Callback):
    """Tells the clock about epochs from inside `fit`, because Keras runs the loop."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_epoch_begin(self, *_: object) -> None:
        """Start the clock."""
        self.clock.begin()

    def on_epoch_end(self, _: int, logs: dict[str, float]) -> None:
        """Stop the clock and report the accuracy on the test split."""
        self.clock.end(logs["val_accuracy"])


def article(network: str, clock: Clock) -> None:
    """The article's program: divide by 255.0, which makes doubles; compile; fit with a progress bar."""
    data, test = given.mnist()
    _fit(network, clock, (data.images / 255.0, data.labels), (test.images / 255.0, test.labels), verbose=1)


def usual(network: str, clock: Clock) -> None:
    """The usual program: as the article's, but in single precision, with larger test batches and without the bar."""
    data, test = ((split.images.astype("float32") / 255, split.labels) for split in given.mnist())
    _fit(network, clock, data, test, verbose=2, validation_batch_size=EVALUATION_BATCH)


def _fit(network: str, clock: Clock, data: tuple, test: tuple, **how: int) -> None:
    # `fit` reads with tf.data. With one thread between operations, which is enough for the other programs, tf.data
    # stalled for 17 to 30 seconds after a pause. With TensorFlow's default it does not.
    tf.config.threading.set_inter_op_parallelism_threads(0)
    model = network_of(network)
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, MOMENTUM[network]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clocked = Clocked(clock)
    model.fit(*data, BATCH, WITHOUT_END, validation_data=test, callbacks=[clocked], **how)


class FusedBatchNorm(layers.BatchNormalization):
    """Batch norm in one operation. Keras 3 uses several."""

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalize images. With `training`, use the batch's statistics and update the moving averages."""
        moving = self.moving_mean.value, self.moving_variance.value
        y, *averages = tf.compat.v1.nn.fused_batch_norm(
            *(x, self.gamma.value, self.beta.value, *moving, self.epsilon),
            is_training=training,
            exponential_avg_factor=1 - self.momentum,
        )
        if training:
            for variable, average in zip(moving, averages, strict=True):
                variable.assign(average)
        return y


def tight(network: str, clock: Clock) -> None:
    """The fastest program that we found: one graph per epoch, and one operation to update each variable.

    These changes made no difference: images stored as floats, and operations instead of Keras' layers. XLA was several
    times slower on `cnn`.
    """
    data, test = given.mnist()
    model = network_of(network, FusedBatchNorm)
    parameters = [variable.value for variable in model.trainable_variables]
    velocities = [tf.Variable(tf.zeros_like(parameter)) for parameter in parameters]
    momentum, cross_entropy = MOMENTUM[network], tf.nn.sparse_softmax_cross_entropy_with_logits
    images, labels = tf.constant(data.images), tf.constant(data.labels, tf.int32)
    test_images, test_labels = tf.constant(test.images), tf.constant(test.labels, tf.int32)

    def update(parameter: tf.Variable, velocity: tf.Variable, gradient: tf.Tensor) -> None:
        ops, w, v = tf.raw_ops, parameter.handle, velocity.handle
        if momentum:
            ops.ResourceApplyMomentum(var=w, accum=v, lr=LEARNING_RATE, grad=gradient, momentum=momentum)
        else:
            ops.ResourceApplyGradientDescent(var=w, alpha=LEARNING_RATE, delta=gradient)

    def run_split(images: tf.Tensor, labels: tf.Tensor, size: int, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the loss and accuracy of a split; with `training`, also update the weights after each batch."""
        total, correct = tf.constant(0.0), tf.constant(0, tf.int64)
        for start in tf.range(0, tf.size(labels), size):
            y = labels[start : start + size]
            with tf.GradientTape() as tape:
                logits = model(tf.cast(images[start : start + size], tf.float32) * (1 / 255), training=training)
                losses = cross_entropy(y, logits)
                loss = tf.reduce_mean(losses)
            if training:
                gradients = tape.gradient(loss, parameters)
                for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    update(parameter, velocity, gradient)
            total += tf.reduce_sum(losses)
            correct += tf.math.count_nonzero(tf.argmax(logits, 1, tf.int32) == y)
        examples = tf.size(labels)
        return total / tf.cast(examples, tf.float32), correct / tf.cast(examples, tf.int64)

    @tf.function
    def train(order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return run_split(tf.gather(images, order), tf.gather(labels, order), BATCH, training=True)

    @tf.function
    def evaluate() -> tuple[tf.Tensor, tf.Tensor]:
        return run_split(test_images, test_labels, EVALUATION_BATCH, training=False)

    for epoch in range(1, WITHOUT_END):
        clock.begin()
        loss, accuracy = train(tf.constant(batches.draw_order(SEED, epoch, len(data))))
        test_loss, test_accuracy = evaluate()
        print(f"loss {loss:.4f}, accuracy {accuracy:.4f}, test {test_loss:.4f}, {test_accuracy:.4f}")
        clock.end(float(test_accuracy))


backend.configure(given.settings.threads_per_backend, "cpu", SEED)
WAYS = {"article": article, "usual": usual, "tight": tight, "ours": partial(ours.train, backend)}
