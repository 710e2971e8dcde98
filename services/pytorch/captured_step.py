"""Train on a GPU with a step that is recorded once, as a CUDA graph.

A step of a small network consists of many short operations. On a GPU it takes
longer to start an operation from Python than to compute it. A CUDA graph
starts all operations of a step at once. It repeats the recorded operations on
the same memory, so whatever differs from step to step lies in tensors that
stay: the images, their order, the position in the order, and the logits.

The step is the backend's own `train_step`. Its twin is the `tf.function` in
services/tensorflow/backend.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from services.pytorch.tracing import TrainStep

Batches = tuple[torch.Tensor, ...]
# The optimiser's state and the libraries' memory come into being in the first
# steps. PyTorch's documentation takes three before it records.
WARM_UP_STEPS = 3


class ResidentSteps:
    """Training steps that use the same tensors each time, on any device.

    Only whole batches are trained: the tensors of a smaller one would differ.
    """

    def __init__(
        self,
        train_step: TrainStep,
        model: nn.Sequential,
        optimizer: torch.optim.Optimizer,
        loss_fn: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        batch_size: int,
    ) -> None:
        """Reserve the tensors.

        Args:
            train_step: The backend's own function.
            model: The model whose weights change. Its last layer is dense.
            optimizer: An optimiser of this model.
            loss_fn: The loss function.
            images: uint8 [N, H, W, C]. Each epoch may have others.
            labels: int64 [N].
            batch_size: Examples per step, at most N.
        """
        self.model, self.optimizer, self.labels = model, optimizer, labels
        self.batch_size = batch_size
        self._train_step = partial(train_step, model, optimizer, loss_fn)
        self._count = len(labels) - len(labels) % batch_size
        self._images = torch.empty_like(images)
        self._order = torch.empty_like(labels)
        self._offsets = torch.arange(batch_size, device=labels.device)
        self._position = torch.zeros_like(self._offsets[0])
        bias = list(model.parameters())[-1].detach()
        self._logits = bias.new_empty(self._count, len(bias))

    def train(
        self, images: torch.Tensor, order: torch.Tensor
    ) -> tuple[list[torch.Tensor], Batches]:
        """Train one epoch's whole batches.

        Args:
            images: The epoch's images, of the shape of the first ones.
            order: int64 [N], the order of the examples.

        Returns:
            The logits of these steps, which the next call overwrites, and
            the batches that are left: the last, smaller one or none.
        """
        self._images.copy_(images)
        self._order.copy_(order)
        step = self._prepare()
        self._position.zero_()
        for _ in range(self._count // self.batch_size):
            step()
        rest = order[self._count :]
        return [self._logits], (rest,) if len(rest) else ()

    def _prepare(self) -> Callable[[], None]:
        """Return the function that takes one step."""
        return self._take_step

    def _take_step(self) -> None:
        """Train with the batch at the position, and move the position."""
        places = self._position + self._offsets
        batch = self._order.index_select(0, places)
        x = self._images.index_select(0, batch)
        y = self.labels.index_select(0, batch)
        self._logits.index_copy_(0, places, self._train_step(x, y))
        self._position += self.batch_size


class CapturedSteps(ResidentSteps):
    """The same steps, recorded as a CUDA graph and replayed."""

    _graph: torch.cuda.CUDAGraph | None = None
    _recorded_rates: tuple[float, ...] = ()

    def _prepare(self) -> Callable[[], None]:
        """Record the step if there is no graph for the learning rate.

        A graph contains the learning rate as a number. As a tensor it would
        have to be float32 for Adam, which changes weights in float64.
        """
        rates = tuple(group["lr"] for group in self.optimizer.param_groups)
        if self._graph is None:
            self._warm_up()
        if self._graph is None or rates != self._recorded_rates:
            # The default random generator, from which dropout draws, is
            # registered by PyTorch: each replay continues its numbers.
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._take_step()
            self._graph, self._recorded_rates = graph, rates
        return self._graph.replay

    def _warm_up(self) -> None:
        """Take a few steps and undo them; a graph cannot record first ones."""
        stream = torch.cuda.Stream()
        with preserved(self.model, self.optimizer):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_STEPS):
                    self._position.zero_()
                    self._take_step()
            torch.cuda.current_stream().wait_stream(stream)


@contextmanager
def preserved(
    model: nn.Sequential, optimizer: torch.optim.Optimizer
) -> Iterator[None]:
    """Undo what training steps inside this context change.

    These are the weights, the moving averages, the optimiser's state, and the
    state of the random generators. State that the optimiser creates in the
    first step becomes 0, from which every optimiser of Tandem starts.
    """
    weights = list(model.state_dict().values())
    kept_weights = [tensor.clone() for tensor in weights]
    kept_state = {key: t.clone() for key, t in _state_tensors(optimizer)}
    gpus = {tensor.device for tensor in weights if tensor.is_cuda}
    with torch.random.fork_rng(gpus):
        yield
    with torch.no_grad():
        for tensor, kept in zip(weights, kept_weights, strict=True):
            tensor.copy_(kept)
        for key, tensor in _state_tensors(optimizer):
            if key in kept_state:
                tensor.copy_(kept_state[key])
            else:
                tensor.zero_()


def _state_tensors(
    optimizer: torch.optim.Optimizer,
) -> Iterator[tuple[tuple[torch.Tensor, str], torch.Tensor]]:
    """Yield the tensors of the optimiser's state; their key is (w, name)."""
    for parameter, state in optimizer.state.items():
        for name, tensor in state.items():
            if tensor is not None:
                yield (parameter, name), tensor


def record(
    train_step: TrainStep,
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
) -> CapturedSteps | None:
    """Return steps that are recorded when they are first taken.

    The arguments are those of `ResidentSteps`.

    Returns:
        None on a CPU, and if there is no whole batch.
    """
    if not images.is_cuda or len(labels) < batch_size:
        return None
    return CapturedSteps(
        train_step, model, optimizer, loss_fn, images, labels, batch_size
    )
