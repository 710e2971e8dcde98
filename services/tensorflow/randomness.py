"""Random numbers that TensorFlow draws while it trains, decided by a seed.

Both functions leave TensorFlow's global seed alone: `tf.random.set_seed`
discards the compiled graphs, which costs 50 ms per epoch.
"""

import keras
import tensorflow as tf


def seed_dropout(model: keras.Model, seed: int) -> None:
    """Let the dropout masks that follow depend on this seed only.

    Each dropout layer has a state of two numbers, the seed and a counter that
    grows with each step. The layers' counters start far apart, so that no two
    layers draw the same mask.
    """
    for index, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign([seed, index << 24])


def shuffled_order(count: int, seed: int) -> tf.Tensor:
    """Return the numbers 0 to count - 1, int64 [count], in random order."""
    order = tf.range(count, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(order, [seed, 0])
