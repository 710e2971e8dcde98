"""Record what a training step computes, for certificates.

The training step itself returns only logits. This module observes it from
outside and changes nothing in it. Its twin is services/pytorch/tracing.py.
"""

from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

TrainStep = Callable[..., tf.Tensor]
RecordedStep = Callable[
    [tf.Tensor, tf.Tensor], tuple[list[tf.Tensor], list[tf.Tensor]]
]


def record_steps(
    train_step: TrainStep,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_fn: keras.losses.Loss,
) -> RecordedStep:
    """Wrap `train_step` in a function that also returns what it computed.

    Args:
        train_step: The backend's own function, which trainings use as well.
        model: A model whose first layer is Rescaling.
        optimizer: The optimiser of the model's variables.
        loss_fn: The loss function.

    Returns:
        A function that takes one batch (x, y), trains with it, and returns
        the output of each layer after Rescaling and the gradient of each
        variable, in the order of `model.trainable_variables`.
    """
    recording_model = _RecordingModel(model)
    recording_optimizer = _RecordingOptimizer(optimizer)

    # Twin: Keras has no hooks, so the step gets a model and an optimiser
    # that keep what passes through them, and compute with the real ones.
    @tf.function
    def recorded_step(
        x: tf.Tensor, y: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        train_step(recording_model, recording_optimizer, loss_fn, x, y)
        # Twin: tensors never change, so nothing has to be copied.
        return recording_model.outputs[1:], recording_optimizer.gradients

    return recorded_step


class _RecordingModel:
    """The same layers, called as the model calls them."""

    def __init__(self, model: keras.Model) -> None:
        outputs = [layer.output for layer in model.layers]
        self.all_outputs = keras.Model(model.inputs, outputs)
        self.trainable_variables = model.trainable_variables

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        self.outputs = self.all_outputs(x, training=training)
        return self.outputs[-1]


class _RecordingOptimizer:
    """Keeps the gradients and passes them on to the real optimiser."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.optimizer = optimizer

    def apply_gradients(
        self, pairs: Iterable[tuple[tf.Tensor, keras.Variable]]
    ) -> None:
        pairs = list(pairs)
        self.gradients = [gradient for gradient, _ in pairs]
        self.optimizer.apply_gradients(pairs)
