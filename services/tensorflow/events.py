"""TensorBoard's event files, written by TensorFlow.

Its twin is services/pytorch/events.py.
"""

from functools import cache

# Twin: TensorFlow would import this in the middle of the first training.
import tensorboard.summary.v2  # noqa: F401
import tensorflow as tf

writer_in = cache(tf.summary.create_file_writer)


def write(folder: str, epoch: int, figures: dict[str, float]) -> None:
    """Add an epoch's figures to what this process writes in a folder."""
    # Twin: a writer is made the default, together with the step.
    with writer_in(folder).as_default(step=epoch):
        for name, value in figures.items():
            tf.summary.scalar(name, value)
        tf.summary.flush()
