"""The TensorFlow backend, in the order of the article.

Its twin is services/pytorch/backend.py: the same functions in the same
order. A `# Twin:` comment explains each difference, on both sides. Arguments,
results and errors are documented in shared/backend.py.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.losses import Loss
from numpy.typing import NDArray

from services.tensorflow import gpu, layers, optimizers, randomness, tracing
from shared.backend import Precision, Predictor, Scores, Step
from shared.data import datasets
from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network import layers as kinds
from shared.network.description import Network
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import Arrays, Weights

NAME = "tensorflow"
EVALUATION_BATCH_SIZE = 1000


def versions() -> dict[str, str]:
    """Return the versions of TensorFlow and Keras."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def configure(threads: int, device: str, seed: int, tf32: bool = False) -> str:
    """Set threads, device and random seed for this process."""
    # Twin: TensorFlow has two settings: the threads inside one operation,
    # and how many operations may run at the same time.
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not gpus:
        raise UnavailableError("there is no GPU")
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return "cpu"
    # Twin: TensorFlow puts tensors on a visible GPU by itself.
    gpu.use_gpus(gpus, tf32)
    return "cuda"


# 1. Load the data ---------------------------------------------------------
def load_data(found: Dataset, cache: Path, split: SplitName) -> Split:
    """Read one split of a dataset, MNIST files with tf.io."""
    if found.folder is None:
        return datasets.read_uncached(found, split)
    # Twin: TensorFlow has no reader for the format of MNIST (IDX). The
    # header, 16 bytes for images and 8 for labels, is cut off here.
    kind = "train" if split == "train" else "t10k"
    raw = tf.io.read_file(f"{cache / found.folder}/{kind}-images-idx3-ubyte")
    images = tf.io.decode_raw(tf.strings.substr(raw, 16, -1), tf.uint8)
    raw = tf.io.read_file(f"{cache / found.folder}/{kind}-labels-idx1-ubyte")
    labels = tf.io.decode_raw(tf.strings.substr(raw, 8, -1), tf.uint8)
    images = tf.reshape(images, (-1, *found.shape))
    return Split(images.numpy(), tf.cast(labels, tf.int64).numpy())


# 2. Define the network ----------------------------------------------------
def define_network(
    network: Network, weights: Weights | None, precision: Precision = "float32"
) -> keras.Model:
    """Build a model from uint8 images [N, H, W, C] to logits."""
    # Twin: Keras creates layers in a global precision, set beforehand.
    layers.use_precision(precision)
    pairs = zip(network.layers, network.shapes)
    stack = [
        layers.Rescaling(1 / 255),
        *(define_layer(layer, shape) for layer, shape in pairs),
    ]
    # Twin: the input is part of the model, so Keras infers all shapes.
    inputs = keras.Input(network.input_shape, dtype="uint8")
    model = keras.Sequential([inputs, *layers.number(stack)], name="network")
    for name, variable in canonical_parameters(model).items():
        if weights is not None:
            # Twin: Keras' layout is the canonical one: nothing to transpose.
            variable.assign(weights[name])
    return model


def define_layer(layer: kinds.Layer, shape: kinds.Shape) -> keras.Layer:
    """Build one layer. `shape` is unused: Keras infers the input's shape."""
    kl = keras.layers
    match layer:
        case kinds.Flatten():
            # Twin: Keras stores channels last, so its order is [H, W, C].
            return kl.Flatten()
        case kinds.Dense():
            # Twin: Keras infers the number of inputs, and the activation is
            # an argument of the layer.
            return kl.Dense(layer.units, layers.activation(layer.activation))
        case kinds.Conv2D():
            return kl.Conv2D(
                layer.filters,
                *layer.window(),
                # Twin: `same` is defined as TensorFlow computes it.
                layer.padding,
                activation=layers.activation(layer.activation),
            )
        case kinds.MaxPool2D():
            return kl.MaxPooling2D(*layer.window(), layer.padding)
        case kinds.AveragePool2D():
            # Twin: Keras does not count padding in the mean.
            return kl.AveragePooling2D(*layer.window(), layer.padding)
        case kinds.GlobalAveragePool2D():
            return kl.GlobalAveragePooling2D()
        case kinds.BatchNorm():
            # Twin: Keras' own would average the biased variance.
            return layers.BatchNorm(layer)
        case kinds.Dropout():
            # Twin: each Keras layer has a random generator of its own.
            return kl.Dropout(layer.rate)


def canonical_parameters(model: keras.Model) -> dict[str, keras.Variable]:
    """Return names like `layers.1.kernel` -> variable. Rescaling has none."""
    return {
        f"layers.{index}.{variable.name}": variable
        for index, layer in enumerate(model.layers[1:])
        for variable in layer.weights
    }


# 3. Define the optimiser and the loss -------------------------------------
def define_optimizer(
    optimizer: Optimizer, model: keras.Model, state: Arrays | None = None
) -> keras.optimizers.Optimizer:
    """Build an optimiser; `state` is what `save_optimizer` returned."""
    # Twin: Keras' own would get its variables in the first step only.
    variables = model.trainable_variables
    match optimizer:
        case Sgd():
            # Twin: Keras' weight decay already changes weights directly.
            built = optimizers.SGD(optimizer, variables)
        case Adam():
            # Twin: Keras' own adds epsilon elsewhere than the paper.
            built = optimizers.Adam(optimizer, variables)
    optimizers.restore_state(built, state or {})
    return built


def define_loss() -> Loss:
    """Return the mean cross-entropy of labels and logits."""
    # Twin: call it as loss_fn(labels, logits), and say that it gets logits.
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# 4. Train -----------------------------------------------------------------
def train(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_fn: Loss,
    data: Split,
    batch_size: int,
    epochs: Iterable[EpochBatches],
) -> Iterator[tuple[float, float]]:
    """Train one epoch after the other; yield each one's loss and accuracy."""
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    count = len(data)

    # Twin: tf.function compiles the loop of an epoch into one graph. Python
    # runs it only once, to record its operations.
    @tf.function
    def train_epoch(
        images: tf.Tensor, order: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = layers.logits_array(model)
        for start in tf.range(0, count, batch_size):
            batch = order[start : start + batch_size]
            x, y = tf.gather(images, batch), tf.gather(labels, batch)
            batch_logits = train_step(model, optimizer, loss_fn, x, y)
            logits = logits.write(logits.size(), batch_logits)
        y = tf.gather(labels, order)
        return loss_and_correct(loss_fn, logits.concat(), y)

    for epoch in epochs:
        # Twin: dropout masks and order are drawn separately from the seed.
        randomness.seed_dropout(model, epoch.seed)
        if epoch.learning_rate is not None:
            optimizers.set_learning_rate(optimizer, epoch.learning_rate)
        mean_loss, correct = train_epoch(
            images if epoch.images is None else tf.constant(epoch.images),
            randomness.shuffled_order(count, epoch.seed)
            if epoch.order is None
            else tf.constant(epoch.order),
        )
        yield float(mean_loss), int(correct) / count


def train_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_fn: Loss,
    x: tf.Tensor,
    y: tf.Tensor,
) -> tf.Tensor:
    """Update the weights with one batch; return its logits."""
    # Twin: a tape records the operations; it returns the gradients, which
    # are passed to the optimiser together with the variables.
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = loss_fn(y, logits)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    optimizer.apply_gradients(zip(gradients, variables))
    return logits


def loss_and_correct(
    loss_fn: Loss, logits: tf.Tensor, y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the mean loss and the number of correct predictions."""
    is_correct = tf.argmax(logits, axis=1) == y
    return loss_fn(y, logits), tf.math.count_nonzero(is_correct)


def trace(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_fn: Loss,
    batches: Iterable[Split],
) -> Iterator[Step]:
    """Train batch by batch; yield outputs, gradients and weights."""
    names = {id(v): name for name, v in canonical_parameters(model).items()}
    step = tracing.record_steps(train_step, model, optimizer, loss_fn)
    for batch in batches:
        x, y = tf.constant(batch.images), tf.constant(batch.labels)
        outputs, gradients = step(x, y)
        pairs = zip(model.trainable_variables, gradients)
        yield Step(
            # Twin: these are in the canonical layout already.
            [output.numpy() for output in outputs],
            {names[id(v)]: gradient.numpy() for v, gradient in pairs},
            save(model),
        )


# 5. Evaluate --------------------------------------------------------------
def evaluate(model: keras.Model, loss_fn: Loss, data: Split) -> Scores:
    """Measure loss, accuracy and probabilities on a split."""
    starts = range(0, len(data), EVALUATION_BATCH_SIZE)
    batches = [data.images[s : s + EVALUATION_BATCH_SIZE] for s in starts]
    logits = tf.concat([forward(model, tf.constant(x)) for x in batches], 0)
    y = tf.constant(data.labels)
    mean_loss, correct = loss_and_correct(loss_fn, logits, y)
    probabilities = tf.cast(tf.nn.softmax(logits), tf.float32).numpy()
    return Scores(float(mean_loss), int(correct) / len(data), probabilities)


# Twin: compiled once per model; `training=False` turns dropout off.
@tf.function(reduce_retracing=True)
def forward(model: keras.Model, x: tf.Tensor) -> tf.Tensor:
    """Return the logits of a batch, computed as outside training."""
    return model(x, training=False)


# 6. Save, and serve -------------------------------------------------------
def save(model: keras.Model) -> Weights:
    """Copy the weights into the canonical layout."""
    parameters = canonical_parameters(model)
    # Twin: Keras' layout is the canonical one. `numpy` returns a copy.
    return {name: variable.numpy() for name, variable in parameters.items()}


def save_optimizer(optimizer: keras.optimizers.Optimizer) -> Arrays:
    """Copy what the optimiser remembers between steps."""
    return optimizers.save_state(optimizer)


def serve(model: keras.Model) -> Predictor:
    """Return a function from images to probabilities, ready for use."""
    shape = model.input_shape[1:]

    # Twin: compiled for any number of images. For one image, calling the
    # model directly takes 6 times as long, `model.predict` 200 times.
    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.uint8)])
    def probabilities(x: tf.Tensor) -> tf.Tensor:
        logits = model(x, training=False)
        return tf.cast(tf.nn.softmax(logits), tf.float32)

    compiled = probabilities.get_concrete_function()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return compiled(tf.constant(images)).numpy()

    # The first call takes longer than later ones, so it happens here.
    predict(np.zeros((1, *shape), np.uint8))
    return predict
