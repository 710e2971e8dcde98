"""Optimisers that Keras has otherwise.

Keras casts a plain float by way of single precision: what it shall take in
double is handed to it as NumPy's.
"""

import keras
import numpy as np
import tensorflow as tf

from shared.network import optimizers as described


class SGD(keras.optimizers.SGD):
    """Keras' own, with its numbers in double precision."""

    def __init__(self, sgd: described.Sgd) -> None:
        super().__init__(
            sgd.learning_rate,
            np.float64(sgd.momentum),
            sgd.nesterov,
            weight_decay=np.float64(sgd.weight_decay) or None,
        )


class Adam(keras.optimizers.Adam):
    """Adam as the paper's algorithm 1, and PyTorch, have it.

    Keras adds epsilon before the bias of v is corrected ("epsilon hat" in the
    paper's section 2): no constant makes the two the same. And it computes
    the corrections in the weights' precision, where 1 - 0.999 has lost four
    of seven digits: here they are doubles.
    """

    def __init__(self, adam: described.Adam) -> None:
        super().__init__(
            adam.learning_rate,
            adam.beta_1,
            adam.beta_2,
            adam.epsilon,
            weight_decay=np.float64(adam.weight_decay) or None,
        )

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: keras.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
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
