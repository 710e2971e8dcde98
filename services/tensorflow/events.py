"""Write event files for TensorBoard with TensorFlow's writer.

Its twin is services/pytorch/events.py.
"""

from functools import cache

# Twin: TensorFlow would import this at the first write, during a training.
import tensorboard.summary.v2  # noqa: F401
import tensorflow as tf

open_writer = cache(tf.summary.create_file_writer)


def write(folder: str, epoch: int, figures: dict[str, float]) -> None:
    """Add the figures of one epoch to the event file in a folder."""
    # Twin: TensorFlow writes to the default writer, which knows the epoch.
    with open_writer(folder).as_default(step=epoch):
        for name, value in figures.items():
            tf.summary.scalar(name, value)
        tf.summary.flush()
