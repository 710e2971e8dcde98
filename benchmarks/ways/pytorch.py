"""Four programs in PyTorch. All use as many threads as Tandem does, and train on the CPU."""

from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.ways import given, ours
from benchmarks.ways.given import BATCH, EVALUATION_BATCH, LEARNING_RATE, MOMENTUM, SEED, WITHOUT_END, Clock
from services.pytorch import backend
from services.pytorch.vision import torchvision
from shared.data import batches
from shared.data.datasets import Split

versions = backend.versions


def network_of(name: str, flatten: type[nn.Module] = nn.Flatten) -> nn.Sequential:
    """Build a preset with PyTorch's own layers."""
    relu, pool, norm = nn.ReLU, partial(nn.MaxPool2d, 2), partial(nn.BatchNorm2d, eps=1e-3, momentum=0.1)
    stacks = {
        "article": lambda: [flatten(), nn.Linear(784, 10), nn.Sigmoid(), nn.Linear(10, 10)],
        "lenet5": lambda: [
            *(nn.Conv2d(1, 6, 5, padding=2), relu(), pool(), nn.Conv2d(6, 16, 5), relu(), pool(), flatten()),
            *(nn.Linear(400, 120), relu(), nn.Linear(120, 84), relu(), nn.Linear(84, 10)),
        ],
        "cnn": lambda: [
            *(nn.Conv2d(1, 16, 3, padding=1), relu(), norm(16), pool()),
            *(nn.Conv2d(16, 32, 3, padding=1), relu(), norm(32), pool()),
            *(nn.Conv2d(32, 32, 3, padding=1), relu(), norm(32), flatten(), nn.Dropout(0.5), nn.Linear(1568, 10)),
        ],
    }
    return nn.Sequential(*stacks[name]())


def article(network: str, clock: Clock) -> None:
    """The article's program: torchvision converts image by image, and the test batches have one image.

    It prints the loss every 100 batches.
    """
    to_tensor, folder = torchvision.transforms.ToTensor(), given.settings.cache_dir
    train_set = torchvision.datasets.MNIST(folder, train=True, transform=to_tensor)
    test_set = torchvision.datasets.MNIST(folder, train=False, transform=to_tensor)
    train_loader = DataLoader(train_set, batch_size=BATCH, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=1)
    model = network_of(network)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, MOMENTUM[network])
    for epoch in range(1, WITHOUT_END):
        clock.begin()
        model.train()
        running_loss = 0.0
        for number, (inputs, labels) in enumerate(train_loader, 1):
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if number % 100 == 0:
                print(f"[{epoch}, {number:5d}] loss: {running_loss / 100:.3f}")
                running_loss = 0.0
        model.eval()
        correct = total = 0
        with torch.no_grad():
            for inputs, labels in test_loader:
                _, predicted = torch.max(model(inputs), 1)
                total += labels.size(0)
                correct += (predicted == labels).sum().item()
        print(f"accuracy on the {total} test images: {100 * correct / total:.2f} %")
        clock.end(correct / total)


def usual(network: str, clock: Clock) -> None:
    """The usual program: the data is in tensors, but the loader still takes examples one by one."""
    data, test = (TensorDataset(_scaled(split), torch.from_numpy(split.labels)) for split in given.mnist())
    train_loader = DataLoader(data, batch_size=BATCH, shuffle=True)
    test_loader = DataLoader(test, batch_size=EVALUATION_BATCH)
    model = network_of(network)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, MOMENTUM[network])
    for epoch in range(1, WITHOUT_END):
        clock.begin()
        model.train()
        total_loss, train_correct = 0.0, 0
        for x, y in train_loader:
            optimizer.zero_grad()
            logits = model(x)
            loss = criterion(logits, y)
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(y)
            train_correct += (logits.argmax(1) == y).sum().item()
        model.eval()
        correct = 0
        with torch.no_grad():
            for x, y in test_loader:
                correct += (model(x).argmax(1) == y).sum().item()
        loss, accuracy = total_loss / len(data), train_correct / len(data)
        print(f"{epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}, test {correct / len(test)}")
        clock.end(correct / len(test))


def _scaled(split: Split) -> torch.Tensor:
    return torch.from_numpy(split.images).permute(0, 3, 1, 2).float() / 255


class FlattenLast(nn.Module):
    """Flatten images that are stored channels last, without a copy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [N, H * W * C] of images [N, C, H, W]."""
        return x.permute(0, 2, 3, 1).flatten(1)


def tight(network: str, clock: Clock) -> None:
    """The fastest program that we found: uint8 images stored channels last, and metrics once per epoch.

    These changes made no difference: images stored as floats, `backward` instead of `grad`, and the optimiser's other
    implementations.
    """
    (images, labels), (test_images, test_labels) = (
        (torch.from_numpy(split.images).permute(0, 3, 1, 2), torch.from_numpy(split.labels)) for split in given.mnist()
    )
    model = network_of(network, FlattenLast).to(memory_format=torch.channels_last)
    parameters, criterion = list(model.parameters()), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(parameters, LEARNING_RATE, MOMENTUM[network], fused=True)

    def train(order: torch.Tensor) -> torch.Tensor:
        model.train()
        logits = []
        for batch in order.split(BATCH):
            logits.append(model(images.index_select(0, batch).float() * (1 / 255)))
            gradients = torch.autograd.grad(criterion(logits[-1], labels.index_select(0, batch)), parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            logits[-1] = logits[-1].detach()
        return torch.cat(logits)

    @torch.inference_mode()
    def evaluate() -> torch.Tensor:
        model.eval()
        return torch.cat([model(batch.float() * (1 / 255)) for batch in test_images.split(EVALUATION_BATCH)])

    def figures(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
        return float(criterion(logits, labels)), float((logits.argmax(1) == labels).double().mean())

    for epoch in range(1, WITHOUT_END):
        clock.begin()
        order = torch.from_numpy(batches.draw_order(SEED, epoch, len(labels)))
        loss, accuracy = figures(train(order), labels[order])
        test_loss, test_accuracy = figures(evaluate(), test_labels)
        print(f"loss {loss:.4f}, accuracy {accuracy:.4f}, test {test_loss:.4f}, {test_accuracy:.4f}")
        clock.end(test_accuracy)


backend.configure(given.settings.threads_per_backend, "cpu", SEED)
WAYS = {"article": article, "usual": usual, "tight": tight, "ours": partial(ours.train, backend)}
