"""Write event files for TensorBoard with PyTorch's writer.

Its twin is services/tensorflow/events.py.
"""

from functools import cache

# Twin: this import also loads the tensorboard package, before any training.
from torch.utils.tensorboard import SummaryWriter

open_writer = cache(SummaryWriter)


def write(folder: str, epoch: int, figures: dict[str, float]) -> None:
    """Add the figures of one epoch to the event file in a folder."""
    # Twin: PyTorch's writer takes the epoch with each figure.
    for name, value in figures.items():
        open_writer(folder).add_scalar(name, value, epoch)
    open_writer(folder).flush()
