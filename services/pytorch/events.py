"""TensorBoard's event files, written by PyTorch.

Its twin is services/tensorflow/events.py.
"""

from functools import cache

# Twin: PyTorch imports TensorBoard's package with its own writer.
from torch.utils.tensorboard import SummaryWriter

writer_in = cache(SummaryWriter)


def write(folder: str, epoch: int, figures: dict[str, float]) -> None:
    """Add an epoch's figures to what this process writes in a folder."""
    # Twin: a writer is asked for each figure, and told the step.
    for name, value in figures.items():
        writer_in(folder).add_scalar(name, value, epoch)
    writer_in(folder).flush()
