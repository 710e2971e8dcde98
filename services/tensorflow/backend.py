"""The TensorFlow backend, in the order of the article.

Its twin is services/pytorch/backend.py: the same functions in the same
order. A comment that begins with "Twin:" marks each difference, on both
sides. NumPy comes in and NumPy goes out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from services.tensorflow import layers, optimizers
from shared.backend import Evaluation, Precision, Predictor, Step
from shared.data import datasets
from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network import layers as kinds
from shared.network.description import Network
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import Arrays, Weights

NAME = "tensorflow"
EVALUATION_BATCH = 1000


def versions() -> dict[str, str]:
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def configure(threads: int, device: str, seed: int) -> str:
    # Twin: TensorFlow sizes two pools, before its first operation; one
    # operation's threads are "intra", operations side by side "inter".
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not gpus:
        raise UnavailableError("TANDEM_DEVICE=cuda, but no GPU is here")
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return "cpu"
    # Twin: TensorFlow places tensors on a visible GPU without being asked.
    return "cuda"


# 1. Load the data ---------------------------------------------------------


def load_data(found: Dataset, cache: Path, split: SplitName) -> Split:
    if found.folder is None:
        return datasets.read_neutral(found, split)
    # Twin: TensorFlow has no reader for IDX files, so the bytes are decoded:
    # a header of 16 bytes before the images, of 8 before the labels.
    kind = "train" if split == "train" else "t10k"
    raw = tf.io.read_file(f"{cache / found.folder}/{kind}-images-idx3-ubyte")
    images = tf.io.decode_raw(tf.strings.substr(raw, 16, -1), tf.uint8)
    raw = tf.io.read_file(f"{cache / found.folder}/{kind}-labels-idx1-ubyte")
    labels = tf.io.decode_raw(tf.strings.substr(raw, 8, -1), tf.uint8)
    return Split(
        tf.reshape(images, (-1, *found.shape)).numpy(),
        tf.cast(labels, tf.int64).numpy(),
    )


# 2. Define the network ----------------------------------------------------


def define_network(
    network: Network, weights: Weights | None, precision: Precision = "float32"
) -> keras.Model:
    # Twin: what Keras makes from here on has the global precision.
    layers.use(precision)
    model = keras.Sequential(
        [
            keras.Input(network.input_shape, dtype="uint8"),
            keras.layers.Rescaling(np.float64(1 / 255)),
            *(_layer(layer) for layer in network.layers),
        ]
    )
    for name, variable in _parameters(model).items():
        if weights is not None:
            # Twin: TensorFlow's layout is the canonical one: no transpose.
            variable.assign(weights[name])
    return model


def _layer(layer: kinds.Layer) -> keras.Layer:
    kl = keras.layers
    match layer:
        case kinds.Flatten():
            # Twin: channels are last already.
            return kl.Flatten()
        case kinds.Dense():
            # Twin: Keras infers the inputs, and activates inside the layer.
            return kl.Dense(layer.units, layers.activation(layer.activation))
        case kinds.Conv2D():
            return kl.Conv2D(
                layer.filters,
                *layer.window(),
                # Twin: `same` with strides is defined as TensorFlow has it.
                layer.padding,
                activation=layers.activation(layer.activation),
            )
        case kinds.MaxPool2D():
            return kl.MaxPooling2D(*layer.window(), layer.padding)
        case kinds.AveragePool2D():
            # Twin: TensorFlow leaves padding out of the mean.
            return kl.AveragePooling2D(*layer.window(), layer.padding)
        case kinds.GlobalAveragePool2D():
            return kl.GlobalAveragePooling2D()
        case kinds.BatchNorm():
            # Twin: Keras keeps the biased variance, so this one is ours.
            return layers.BatchNorm(layer.momentum, layer.epsilon)
        case kinds.Dropout():
            # Twin: Keras' masks are drawn from a seed that each layer keeps.
            return kl.Dropout(layer.rate)


def _parameters(model: keras.Model) -> dict[str, keras.Variable]:
    """Canonical name -> variable; Rescaling, the first, is not counted."""
    return {
        f"layers.{index}.{variable.name}": variable
        for index, layer in enumerate(model.layers[1:])
        for variable in layer.weights
    }


# 3. Define the optimiser and the loss -------------------------------------


def define_optimizer(
    optimizer: Optimizer, model: keras.Model, state: Arrays | None = None
) -> keras.optimizers.Optimizer:
    match optimizer:
        case Sgd():
            # Twin: Keras' decay is decoupled from the gradient.
            ours = optimizers.SGD(optimizer)
        case Adam():
            # Twin: Keras' epsilon stands elsewhere, so this one is ours.
            ours = optimizers.Adam(optimizer)
    # Twin: Keras' optimiser meets its variables later; build() is that moment.
    ours.build(model.trainable_variables)
    for name, array in (state or {}).items():
        ours.variables[int(name)].assign(array)
    return ours


def define_loss() -> keras.losses.Loss:
    # Twin: called with (labels, logits), and told that they are logits.
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# 4. Train -----------------------------------------------------------------


def train(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    data: Split,
    batch_size: int,
    epochs: Iterable[EpochBatches],
) -> Iterator[tuple[float, float]]:
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    count = len(data)

    # Twin: the whole epoch is one graph: Python runs once, while it is traced.
    # What is reported is computed at its end, for all batches at once.
    @tf.function
    def train_epoch(
        images: tf.Tensor, order: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = layers.room_for_outputs(model)
        for start in tf.range(0, count, batch_size):
            batch = order[start : start + batch_size]
            x, y = tf.gather(images, batch), tf.gather(labels, batch)
            outputs, _, _ = _step(model, optimizer, loss, x, y)
            logits = logits.write(logits.size(), outputs[-1])
        return _figures(loss, logits.concat(), tf.gather(labels, order))

    for epoch in epochs:
        layers.seed(model, epoch.seed)
        mean_loss, correct = train_epoch(
            images if epoch.images is None else tf.constant(epoch.images),
            layers.shuffled(count, epoch.seed)
            if epoch.order is None
            else tf.constant(epoch.order),
        )
        yield float(mean_loss), int(correct) / count


def _figures(
    loss: keras.losses.Loss, logits: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean loss of all examples, and how many are classed rightly."""
    right = tf.argmax(logits, axis=1) == labels
    return loss(labels, logits), tf.math.count_nonzero(right)


def _step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    images: tf.Tensor,
    labels: tf.Tensor,
) -> tuple[list[tf.Tensor], tf.Tensor, list[tf.Tensor]]:
    """One step: every layer's output, the mean loss, and the gradients."""
    outputs = [images]
    # Twin: gradients come from a tape that watched the forward pass.
    with tf.GradientTape() as tape:
        for layer in model.layers:
            outputs.append(layer(outputs[-1], training=True))
        batch_loss = loss(labels, outputs[-1])
    parameters = model.trainable_variables
    gradients = tape.gradient(batch_loss, parameters)
    optimizer.apply(gradients, parameters)
    return outputs[2:], batch_loss, gradients


def trace(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    batches: Iterable[Split],
) -> Iterator[Step]:
    names = {id(v): name for name, v in _parameters(model).items()}
    step = tf.function(_step)
    for batch in batches:
        x, y = tf.constant(batch.images), tf.constant(batch.labels)
        outputs, _, gradients = step(model, optimizer, loss, x, y)
        pairs = zip(model.trainable_variables, gradients)
        yield Step(
            # Twin: channels are last already.
            [output.numpy() for output in outputs],
            {names[id(v)]: gradient.numpy() for v, gradient in pairs},
            save(model),
        )


# 5. Evaluate --------------------------------------------------------------


def evaluate(
    model: keras.Model, loss: keras.losses.Loss, data: Split
) -> Evaluation:
    starts = range(0, len(data), EVALUATION_BATCH)
    batches = [data.images[s : s + EVALUATION_BATCH] for s in starts]
    logits = tf.concat([_logits(model, tf.constant(x)) for x in batches], 0)
    mean_loss, correct = _figures(loss, logits, tf.constant(data.labels))
    probabilities = tf.cast(tf.nn.softmax(logits), tf.float32).numpy()
    accuracy = int(correct) / len(data)
    return Evaluation(float(mean_loss), accuracy, probabilities)


# Twin: traced once per model; every later epoch's evaluation reuses the graph.
@tf.function(reduce_retracing=True)
def _logits(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images, training=False)


# 6. Save, and serve -------------------------------------------------------


def save(model: keras.Model) -> Weights:
    parameters = _parameters(model)
    # Twin: already in the canonical layout; numpy() is a copy.
    return {name: variable.numpy() for name, variable in parameters.items()}


def save_optimizer(optimizer: keras.optimizers.Optimizer) -> Arrays:
    # Twin: Keras' optimiser is a list of variables.
    variables = enumerate(optimizer.variables)
    return {str(i): np.array(variable.numpy()) for i, variable in variables}


def serve(model: keras.Model) -> Predictor:
    # Twin: a concrete function of a fixed signature: Keras' own call costs
    # six times as much for one picture, `predict` two hundred times.
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)
        ]
    )
    def probabilities(images: tf.Tensor) -> tf.Tensor:
        logits = model(images, training=False)
        return tf.cast(tf.nn.softmax(logits), tf.float32)

    concrete = probabilities.get_concrete_function()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return concrete(tf.constant(images)).numpy()

    predict(np.zeros((1, *model.input_shape[1:]), np.uint8))
    return predict
