"""The PyTorch backend, in the order of the article.

Its twin is services/tensorflow/backend.py: the same functions in the same
order. A comment that begins with "Twin:" marks each difference, on both
sides. NumPy comes in and NumPy goes out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from services.pytorch import device as placement
from services.pytorch import layers, optimizers
from services.pytorch.vision import torchvision
from shared.backend import Evaluation, Precision, Predictor, Step
from shared.data import datasets
from shared.data.batches import EpochBatches
from shared.data.datasets import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network import layers as kinds
from shared.network.description import Network
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import Arrays, Weights

NAME = "pytorch"
EVALUATION_BATCH = 1000


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "torchvision": torchvision.__version__}


def configure(threads: int, device: str, seed: int) -> str:
    # Twin: PyTorch sizes one pool for the threads inside an operation; eager
    # operations follow one another, so there is no second pool to size.
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if device == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("TANDEM_DEVICE=cuda, but no GPU is here")
    if device == "cpu" or not torch.cuda.is_available():
        return "cpu"
    # Twin: PyTorch has to be told where each tensor and each model goes.
    placement.use("cuda")
    return "cuda"


# 1. Load the data ---------------------------------------------------------


def load_data(found: Dataset, cache: Path, split: SplitName) -> Split:
    if found.folder is None:
        return datasets.read_neutral(found, split)
    # Twin: torchvision knows MNIST by name; its tensors lack the channel.
    reader = getattr(torchvision.datasets, found.folder.split("/")[0])
    data = reader(cache, train=split == "train", download=False)
    images, labels = data.data.unsqueeze(-1), data.targets
    return Split(images.numpy(), labels.to(torch.int64).numpy())


# 2. Define the network ----------------------------------------------------


def define_network(
    network: Network, weights: Weights | None, precision: Precision = "float32"
) -> nn.Sequential:
    model = nn.Sequential(
        layers.Rescaling(1 / 255),
        *(_layer(*pair) for pair in zip(network.layers, network.shapes)),
    )
    # Twin: a module is made in single precision and converted; pictures lie
    # in memory channels last, as they come, though their shape says otherwise.
    model = model.to(
        placement.device(),
        getattr(torch, precision),
        memory_format=torch.channels_last,
    )
    with torch.no_grad():
        for name, parameter in _parameters(model).items():
            if weights is not None:
                # Twin: PyTorch keeps kernels [out, in, ...]: the transpose.
                array = layers.transposed(weights[name])
                parameter.copy_(torch.tensor(array))
    return model


def _layer(layer: kinds.Layer, shape: kinds.Shape) -> nn.Module:
    match layer:
        case kinds.Flatten():
            # Twin: PyTorch's channels come first, and have to go last.
            return layers.Flatten()
        case kinds.Dense():
            # Twin: PyTorch is told the inputs, and activates in a module of
            # its own, which `Activated` keeps within the layer.
            linear = nn.Linear(shape[0], layer.units)
            return layers.Activated(linear, layer.activation)
        case kinds.Conv2D():
            # Twin: PyTorch refuses `same` with strides: padding is a layer.
            conv = nn.Conv2d(shape[-1], layer.filters, *layer.window())
            conv = layers.padded(conv, layer.pads(shape))
            return layers.Activated(conv, layer.activation)
        case kinds.MaxPool2D():
            pool = nn.MaxPool2d(*layer.window())
            return layers.padded(pool, layer.pads(shape), -torch.inf)
        case kinds.AveragePool2D():
            # Twin: PyTorch's mean counts padding, so this one is ours.
            return layers.AveragePool2D(*layer.window(), layer.pads(shape))
        case kinds.GlobalAveragePool2D():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case kinds.BatchNorm():
            # Twin: PyTorch's momentum is the share of the new, 1 - ours.
            return layers.BatchNorm(
                shape[-1], momentum=1 - layer.momentum, eps=layer.epsilon
            )
        case kinds.Dropout():
            # Twin: PyTorch's masks are drawn from the process' generator.
            return nn.Dropout(layer.rate)


def _parameters(model: nn.Sequential) -> dict[str, torch.Tensor]:
    """Canonical name -> parameter; Rescaling, the first, is not counted."""
    return {
        f"layers.{index}.{layers.canonical(name)}": parameter
        for index, layer in enumerate(list(model)[1:])
        for name, parameter in layer.state_dict(keep_vars=True).items()
    }


# 3. Define the optimiser and the loss -------------------------------------


def define_optimizer(
    optimizer: Optimizer, model: nn.Sequential, state: Arrays | None = None
) -> torch.optim.Optimizer:
    match optimizer:
        case Sgd():
            # Twin: PyTorch's decay goes through the gradient, so this is ours.
            ours = optimizers.sgd(model.parameters(), optimizer)
        case Adam():
            # Twin: PyTorch's epsilon stands where the paper has it.
            ours = torch.optim.AdamW(
                model.parameters(),
                optimizer.learning_rate,
                (optimizer.beta_1, optimizer.beta_2),
                optimizer.epsilon,
                optimizer.weight_decay,
            )
    # Twin: PyTorch's optimiser is born with its parameters.
    optimizers.restore(ours, state or {})
    return ours


def define_loss() -> nn.Module:
    # Twin: called with (logits, labels), and always takes logits.
    return nn.CrossEntropyLoss()


# 4. Train -----------------------------------------------------------------


def train(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss: nn.Module,
    data: Split,
    batch_size: int,
    epochs: Iterable[EpochBatches],
) -> Iterator[tuple[float, float]]:
    images = placement.tensor(data.images)
    labels, count = placement.tensor(data.labels), len(data)

    # Twin: an epoch is a Python loop, and every line of it runs every time.
    # What is reported is computed at its end, for all batches at once.
    def train_epoch(
        images: torch.Tensor, order: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        model.train()
        logits = []
        for batch in order.split(batch_size):
            x = images.index_select(0, batch)
            y = labels.index_select(0, batch)
            outputs, _, _ = _step(model, optimizer, loss, x, y)
            logits.append(outputs[-1].detach())
        return _figures(loss, torch.cat(logits), labels[order])

    for epoch in epochs:
        torch.manual_seed(epoch.seed)
        mean_loss, correct = train_epoch(
            images if epoch.images is None else placement.tensor(epoch.images),
            torch.randperm(count, device=labels.device)
            if epoch.order is None
            else placement.tensor(epoch.order),
        )
        yield float(mean_loss), int(correct) / count


def _figures(
    loss: nn.Module, logits: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean loss of all examples, and how many are classed rightly."""
    right = logits.argmax(1) == labels
    return loss(logits, labels), torch.count_nonzero(right)


def _step(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> tuple[list[torch.Tensor], torch.Tensor, tuple[torch.Tensor, ...]]:
    """One step: every layer's output, the mean loss, and the gradients."""
    outputs = [images]
    # Twin: what each parameter went through is kept with the tensors.
    for layer in model:
        outputs.append(layer(outputs[-1]))
    batch_loss = loss(outputs[-1], labels)
    parameters = optimizer.param_groups[0]["params"]
    gradients = torch.autograd.grad(batch_loss, parameters)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    optimizer.step()
    return outputs[2:], batch_loss, gradients


def trace(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss: nn.Module,
    batches: Iterable[Split],
) -> Iterator[Step]:
    names = {id(p): name for name, p in _parameters(model).items()}
    model.train()
    for batch in batches:
        x, y = placement.tensor(batch.images), placement.tensor(batch.labels)
        outputs, _, gradients = _step(model, optimizer, loss, x, y)
        pairs = zip(model.parameters(), gradients)
        yield Step(
            # Twin: channels go last.
            [layers.channels_last(output) for output in outputs],
            {names[id(p)]: layers.kernel(gradient) for p, gradient in pairs},
            save(model),
        )


# 5. Evaluate --------------------------------------------------------------


def evaluate(model: nn.Sequential, loss: nn.Module, data: Split) -> Evaluation:
    starts = range(0, len(data), EVALUATION_BATCH)
    batches = [data.images[s : s + EVALUATION_BATCH] for s in starts]
    logits = torch.cat([_logits(model, placement.tensor(x)) for x in batches])
    labels = placement.tensor(data.labels)
    mean_loss, correct = _figures(loss, logits, labels)
    probabilities = logits.softmax(1).float().cpu().numpy()
    accuracy = int(correct) / len(data)
    return Evaluation(float(mean_loss), accuracy, probabilities)


# Twin: nothing is traced; training or not is a state of the model itself.
@torch.inference_mode()
def _logits(model: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
    return model.eval()(images)


# 6. Save, and serve -------------------------------------------------------


def save(model: nn.Sequential) -> Weights:
    parameters = _parameters(model)
    # Twin: back from [out, in, ...] to the canonical layout; a copy.
    return {name: layers.kernel(tensor) for name, tensor in parameters.items()}


def save_optimizer(optimizer: torch.optim.Optimizer) -> Arrays:
    # Twin: PyTorch's optimiser keeps a dictionary for each parameter.
    return optimizers.state(optimizer)


def serve(model: nn.Sequential) -> Predictor:
    # Twin: `inference_mode` records nothing for gradients; the call is eager.
    @torch.inference_mode()
    def probabilities(images: torch.Tensor) -> torch.Tensor:
        return model(images).softmax(1).float()

    model.eval()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return probabilities(placement.tensor(images)).cpu().numpy()

    return predict
