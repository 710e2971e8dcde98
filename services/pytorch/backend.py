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

from services.pytorch import layers, placement
from services.pytorch.vision import torchvision
from shared import dataset
from shared.backend import Evaluation, Optimizer, Predictor
from shared.dataset import Dataset, Split, SplitName
from shared.errors import UnavailableError
from shared.network import Dense, Flatten, Layer, Network, Shape
from shared.weights import Weights

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
        return dataset.read_neutral(found, split)
    # Twin: torchvision knows MNIST by name; its tensors lack the channel.
    reader = getattr(torchvision.datasets, found.folder.split("/")[0])
    data = reader(cache, train=split == "train", download=False)
    images, labels = data.data.unsqueeze(-1), data.targets
    return Split(images.numpy(), labels.to(torch.int64).numpy())


# 2. Define the network ----------------------------------------------------


def define_network(network: Network, weights: Weights | None) -> nn.Sequential:
    model = nn.Sequential(
        layers.Rescaling(1 / 255),
        *(_layer(*pair) for pair in zip(network.layers, network.shapes)),
    )
    with torch.no_grad():
        for name, parameter in _parameters(model).items():
            if weights is not None:
                # Twin: PyTorch keeps kernels [out, in]: the transpose.
                parameter.copy_(torch.tensor(weights[name].T))
    return model.to(placement.device())


def _layer(layer: Layer, shape: Shape) -> nn.Module:
    match layer:
        case Flatten():
            return nn.Flatten()
        case Dense():
            # Twin: PyTorch is told the inputs, and activates in a module of
            # its own, which `Activated` keeps within the layer.
            linear = nn.Linear(shape[0], layer.units)
            return layers.Activated(linear, layer.activation)


def _parameters(model: nn.Sequential) -> dict[str, nn.Parameter]:
    """Canonical name -> parameter; Rescaling, the first, is not counted."""
    canonical = {"weight": "kernel", "bias": "bias"}
    return {
        f"layers.{index}.{canonical[name.split('.')[-1]]}": parameter
        for index, layer in enumerate(list(model)[1:])
        for name, parameter in layer.named_parameters()
    }


# 3. Define the optimiser and the loss -------------------------------------


def define_optimizer(
    optimizer: Optimizer, model: nn.Sequential
) -> torch.optim.Optimizer:
    # Twin: PyTorch's optimiser is born with its parameters.
    return torch.optim.SGD(model.parameters(), optimizer.learning_rate)


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
    orders: Iterable[NDArray[np.int64] | None],
) -> Iterator[tuple[float, float]]:
    images, labels = (
        placement.tensor(data.images),
        placement.tensor(data.labels),
    )
    count = len(data)

    # Twin: an epoch is a Python loop, and every line of it runs every time.
    def epoch(order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total_loss = torch.zeros((), dtype=torch.float64, device=labels.device)
        correct = torch.zeros((), dtype=torch.int64, device=labels.device)
        model.train()
        for batch in order.split(batch_size):
            x, y = images[batch], labels[batch]
            # Twin: gradients gather in the parameters, and are cleared first.
            optimizer.zero_grad()
            logits = model(x)
            batch_loss = loss(logits, y)
            batch_loss.backward()
            optimizer.step()
            total_loss += batch_loss.detach().double() * len(y)
            correct += torch.count_nonzero(logits.argmax(1) == y)
        return total_loss, correct

    for order in orders:
        total_loss, correct = epoch(
            torch.randperm(count, device=labels.device)
            if order is None
            else placement.tensor(order)
        )
        yield float(total_loss) / count, int(correct) / count


# 5. Evaluate --------------------------------------------------------------


def evaluate(model: nn.Sequential, loss: nn.Module, data: Split) -> Evaluation:
    total_loss, correct, probabilities = 0.0, 0, []
    for start in range(0, len(data), EVALUATION_BATCH):
        x = placement.tensor(data.images[start : start + EVALUATION_BATCH])
        y = placement.tensor(data.labels[start : start + EVALUATION_BATCH])
        logits = _logits(model, x)
        total_loss += float(loss(logits, y)) * len(y)
        correct += int(torch.count_nonzero(logits.argmax(1) == y))
        probabilities.append(logits.softmax(1).cpu().numpy())
    return Evaluation(
        total_loss / len(data),
        correct / len(data),
        np.concatenate(probabilities),
    )


# Twin: nothing is traced; training or not is a state of the model itself.
@torch.inference_mode()
def _logits(model: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
    return model.eval()(images)


# 6. Save, and serve -------------------------------------------------------


def save(model: nn.Sequential) -> Weights:
    parameters = _parameters(model)
    return {
        # Twin: back from [out, in] to the canonical [in, out]; a copy.
        name: parameter.detach().cpu().numpy().T.copy()
        for name, parameter in parameters.items()
    }


def serve(model: nn.Sequential) -> Predictor:
    # Twin: `inference_mode` records nothing for gradients; the call is eager.
    @torch.inference_mode()
    def probabilities(images: torch.Tensor) -> torch.Tensor:
        return model(images).softmax(1)

    model.eval()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return probabilities(placement.tensor(images)).cpu().numpy()

    return predict
