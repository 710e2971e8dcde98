"""The PyTorch backend, in the order of the article.

Its twin is services/tensorflow/backend.py: the same functions in the same
order. A `# Twin:` comment explains each difference, on both sides. Arguments,
results and errors are documented in shared/backend.py.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from services.pytorch import captured_step, layers, layout, optimizers, tracing
from services.pytorch.device import current_device, to_device, use_gpu
from services.pytorch.vision import torchvision
from shared.backend import Precision, Predictor, Scores, Step
from shared.data import datasets
from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network import layers as kinds
from shared.network.description import Network
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import Arrays, Weights

NAME = "pytorch"
EVALUATION_BATCH_SIZE = 1000


def versions() -> dict[str, str]:
    """Return the versions of PyTorch and torchvision."""
    return {"torch": torch.__version__, "torchvision": torchvision.__version__}


def configure(threads: int, device: str, seed: int, tf32: bool = False) -> str:
    """Set threads, device and random seed for this process."""
    # Twin: PyTorch runs one operation at a time, so only the number of
    # threads inside an operation has to be set.
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    is_gpu_present = torch.cuda.is_available()
    if device == "cuda" and not is_gpu_present:
        raise UnavailableError("there is no GPU")
    if device == "cpu" or not is_gpu_present:
        return "cpu"
    # Twin: PyTorch programs name the device of each tensor and model.
    use_gpu(tf32)
    return "cuda"


# 1. Load the data ---------------------------------------------------------
def load_data(found: Dataset, cache: Path, split: SplitName) -> Split:
    """Read one split of a dataset, MNIST files with torchvision."""
    if found.folder is None:
        return datasets.read_uncached(found, split)
    # Twin: torchvision reads the MNIST files itself. Its images have no
    # channel dimension, so one is added: [N, H, W] becomes [N, H, W, 1].
    reader = getattr(torchvision.datasets, found.folder.split("/")[0])
    data = reader(cache, train=split == "train", download=False)
    images, labels = data.data.unsqueeze(-1), data.targets
    return Split(images.numpy(), labels.to(torch.int64).numpy())


# 2. Define the network ----------------------------------------------------
def define_network(
    network: Network, weights: Weights | None, precision: Precision = "float32"
) -> nn.Sequential:
    """Build a model from uint8 images [N, H, W, C] to logits."""
    pairs = zip(network.layers, network.shapes)
    model = nn.Sequential(
        layers.Rescaling(1 / 255),
        *(define_layer(layer, shape) for layer, shape in pairs),
    )
    # Twin: PyTorch creates modules in float32; `to` converts them. Image
    # tensors have shape [N, C, H, W] but are stored channels last: faster.
    dtype = getattr(torch, precision)
    model.to(current_device(), dtype, memory_format=torch.channels_last)
    # Twin: a module does not know its input shape; `serve` needs it later.
    model.input_shape = network.input_shape
    with torch.no_grad():
        for name, parameter in canonical_parameters(model).items():
            if weights is not None:
                # Twin: PyTorch stores kernels as [out, in, ...], the
                # canonical layout is [..., in, out]: transpose.
                array = layout.from_canonical(weights[name])
                parameter.copy_(torch.tensor(array))
    return model


def define_layer(layer: kinds.Layer, shape: kinds.Shape) -> nn.Module:
    """Build one layer; `shape` is its input's, such as [28, 28, 1]."""
    match layer:
        case kinds.Flatten():
            # Twin: PyTorch's would flatten [C, H, W]; this one, [H, W, C].
            return layers.Flatten()
        case kinds.Dense():
            # Twin: PyTorch needs the number of inputs, and the activation is
            # a module of its own.
            linear = nn.Linear(shape[0], layer.units)
            return layers.activated(linear, layer.activation)
        case kinds.Conv2D():
            conv = nn.Conv2d(shape[-1], layer.filters, *layer.window())
            # Twin: PyTorch refuses `same` with strides: pad explicitly.
            conv = layers.padded(conv, layer.pads(shape))
            return layers.activated(conv, layer.activation)
        case kinds.MaxPool2D():
            pool = nn.MaxPool2d(*layer.window())
            return layers.padded(pool, layer.pads(shape), -torch.inf)
        case kinds.AveragePool2D():
            # Twin: PyTorch's would count padding in the mean; this does not.
            return layers.AveragePool2D(*layer.window(), layer.pads(shape))
        case kinds.GlobalAveragePool2D():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case kinds.BatchNorm():
            # Twin: PyTorch's would refuse a batch of a single value.
            return layers.BatchNorm(layer, shape[-1])
        case kinds.Dropout():
            # Twin: PyTorch draws masks from its global random generator.
            return nn.Dropout(layer.rate)


def canonical_parameters(model: nn.Sequential) -> dict[str, torch.Tensor]:
    """Return names like `layers.1.kernel` -> tensor. Rescaling has none."""
    return {
        f"layers.{index}.{layout.canonical_name(name)}": parameter
        for index, layer in enumerate(list(model)[1:])
        for name, parameter in layer.state_dict(keep_vars=True).items()
    }


# 3. Define the optimiser and the loss -------------------------------------
def define_optimizer(
    optimizer: Optimizer, model: nn.Sequential, state: Arrays | None = None
) -> torch.optim.Optimizer:
    """Build an optimiser; `state` is what `save_optimizer` returned."""
    # Twin: a PyTorch optimiser gets its parameters when it is created.
    parameters = model.parameters()
    match optimizer:
        case Sgd():
            # Twin: PyTorch's own would add weight decay to the gradient.
            built = optimizers.SGD(optimizer, parameters)
        case Adam():
            # Twin: PyTorch's AdamW already follows the paper.
            built = optimizers.Adam(optimizer, parameters)
    optimizers.restore_state(built, state or {})
    return built


def define_loss() -> nn.Module:
    """Return the mean cross-entropy of logits and labels."""
    # Twin: call it as loss_fn(logits, labels). It always expects logits.
    return nn.CrossEntropyLoss()


# 4. Train -----------------------------------------------------------------
def train(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
    data: Split,
    batch_size: int,
    epochs: Iterable[EpochBatches],
) -> Iterator[tuple[float, float]]:
    """Train one epoch after the other; yield each one's loss and accuracy."""
    images, labels = to_device(data.images), to_device(data.labels)
    count = len(data)

    # Twin: Python runs this loop, step by step. Loss and accuracy are
    # computed once per epoch, because each additional call takes time. On a
    # GPU, a recorded step trains the whole batches: see captured_step.py.
    recorded = captured_step.record(
        train_step, model, optimizer, loss_fn, images, labels, batch_size
    )

    def train_epoch(
        images: torch.Tensor, order: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        model.train()
        logits: list[torch.Tensor] = []
        batches = order.split(batch_size)
        if recorded is not None:
            logits, batches = recorded.train(images, order)
        for batch in batches:
            x = images.index_select(0, batch)
            y = labels.index_select(0, batch)
            logits.append(train_step(model, optimizer, loss_fn, x, y))
        return loss_and_correct(loss_fn, torch.cat(logits), labels[order])

    for epoch in epochs:
        # Twin: one seed decides both the dropout masks and the order.
        torch.manual_seed(epoch.seed)
        if epoch.learning_rate is not None:
            optimizers.set_learning_rate(optimizer, epoch.learning_rate)
        mean_loss, correct = train_epoch(
            images if epoch.images is None else to_device(epoch.images),
            torch.randperm(count, device=labels.device)
            if epoch.order is None
            else to_device(epoch.order),
        )
        yield float(mean_loss), int(correct) / count


def train_step(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
) -> torch.Tensor:
    """Update the weights with one batch; return its logits."""
    # Twin: tensors record the operations; `backward` stores each gradient
    # in its parameter, where the optimiser finds it.
    optimizer.zero_grad()
    logits = model(x)
    loss = loss_fn(logits, y)
    loss.backward()
    optimizer.step()
    return logits.detach()


def loss_and_correct(
    loss_fn: nn.Module, logits: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss and the number of correct predictions."""
    is_correct = logits.argmax(1) == y
    return loss_fn(logits, y), torch.count_nonzero(is_correct)


def trace(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
    batches: Iterable[Split],
) -> Iterator[Step]:
    """Train batch by batch; yield outputs, gradients and weights."""
    names = {id(p): name for name, p in canonical_parameters(model).items()}
    step = tracing.record_steps(train_step, model, optimizer, loss_fn)
    model.train()
    for batch in batches:
        x, y = to_device(batch.images), to_device(batch.labels)
        outputs, gradients = step(x, y)
        pairs = zip(model.parameters(), gradients)
        yield Step(
            # Twin: back from PyTorch's layout to the canonical one.
            [layout.channels_last(output) for output in outputs],
            {names[id(p)]: layout.to_canonical(g) for p, g in pairs},
            save(model),
        )


# 5. Evaluate --------------------------------------------------------------
def evaluate(model: nn.Sequential, loss_fn: nn.Module, data: Split) -> Scores:
    """Measure loss, accuracy and probabilities on a split."""
    starts = range(0, len(data), EVALUATION_BATCH_SIZE)
    batches = [data.images[s : s + EVALUATION_BATCH_SIZE] for s in starts]
    logits = torch.cat([forward(model, to_device(x)) for x in batches])
    y = to_device(data.labels)
    mean_loss, correct = loss_and_correct(loss_fn, logits, y)
    probabilities = logits.softmax(1).float().cpu().numpy()
    return Scores(float(mean_loss), int(correct) / len(data), probabilities)


# Twin: nothing is recorded for gradients; `eval` turns dropout off.
@torch.inference_mode()
def forward(model: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """Return the logits of a batch, computed as outside training."""
    return model.eval()(x)


# 6. Save, and serve -------------------------------------------------------
def save(model: nn.Sequential) -> Weights:
    """Copy the weights into the canonical layout."""
    parameters = canonical_parameters(model)
    # Twin: transpose [out, in, ...] back into the canonical layout.
    return {name: layout.to_canonical(p) for name, p in parameters.items()}


def save_optimizer(optimizer: torch.optim.Optimizer) -> Arrays:
    """Copy what the optimiser remembers between steps."""
    return optimizers.save_state(optimizer)


def serve(model: nn.Sequential) -> Predictor:
    """Return a function from images to probabilities, ready for use."""
    model.eval()

    # Twin: calling the model directly is fast, so nothing is compiled.
    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = model(to_device(images))
            return logits.softmax(1).float().cpu().numpy()

    # The first call takes longer than later ones, so it happens here.
    predict(np.zeros((1, *model.input_shape), np.uint8))
    return predict
