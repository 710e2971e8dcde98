"""Keras optimisers that are adapted to the shared definitions.

shared/network/optimizers.py defines what each optimiser computes. Its twin,
services/pytorch/optimizers.py, has the same public names.

Keras rounds a Python float to float32. Numbers that have to stay doubles are
therefore passed as np.float64.
"""

import keras
import numpy as np
import tensorflow as tf

from shared.network import optimizers as described
from shared.network.weights import Arrays


class SGD(keras.optimizers.SGD):
    """Keras' SGD, with its numbers in double precision.

    Keras' weight decay is decoupled: each step first multiplies the weights
    by 1 - learning_rate * weight_decay.
    """

    def __init__(
        self, sgd: described.Sgd, variables: list[keras.Variable]
    ) -> None:
        super().__init__(
            sgd.learning_rate,
            np.float64(sgd.momentum),
            sgd.nesterov,
            weight_decay=np.float64(sgd.weight_decay) or None,
        )
        self.build(variables)


class Adam(keras.optimizers.Adam):
    """Adam as in the paper's algorithm 1, with decoupled weight decay.

    Keras adds epsilon before the bias of v is corrected ("epsilon hat" in
    section 2 of Kingma and Ba 2015). No constant makes both equal. Keras also
    computes the bias corrections in float32, where 1 - 0.999 keeps only three
    of seven digits. Here they are doubles.
    """

    def __init__(
        self, adam: described.Adam, variables: list[keras.Variable]
    ) -> None:
        super().__init__(
            adam.learning_rate,
            adam.beta_1,
            adam.beta_2,
            adam.epsilon,
            weight_decay=np.float64(adam.weight_decay) or None,
        )
        self.build(variables)

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: keras.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        """Update one variable. Keras calls this for each of them."""
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        m.assign_add((gradient - m) * (1 - self.beta_1))
        v.assign_add((tf.square(gradient) - v) * (1 - self.beta_2))
        step = tf.cast(self.iterations + 1, tf.float64)
        size = tf.cast(learning_rate, tf.float64) / (1 - self.beta_1**step)
        scale = 1 / tf.sqrt(1 - self.beta_2**step)
        root = tf.sqrt(v) * tf.cast(scale, variable.dtype)
        size = tf.cast(size, variable.dtype)
        variable.assign_sub(size * m / (root + self.epsilon))


def set_learning_rate(
    optimizer: keras.optimizers.Optimizer, rate: float
) -> None:
    """Change the learning rate of the following steps."""
    # The rate is a variable: steps that are compiled already read it, too.
    optimizer.learning_rate = rate


def save_state(optimizer: keras.optimizers.Optimizer) -> Arrays:
    """Copy the optimiser's state into arrays.

    Returns:
        `<index of the variable>` -> array.
    """
    return {
        str(index): np.array(variable.numpy())
        for index, variable in enumerate(optimizer.variables)
    }


def restore_state(
    optimizer: keras.optimizers.Optimizer, arrays: Arrays
) -> None:
    """Give a new optimiser the state that `save_state` returned."""
    for index, array in arrays.items():
        optimizer.variables[int(index)].assign(array)
