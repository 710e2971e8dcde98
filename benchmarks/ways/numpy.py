"""The article's network in NumPy only: the cost of its arithmetic without a framework."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.ways import given
from benchmarks.ways.given import BATCH, EVALUATION_BATCH, LEARNING_RATE, SEED, WITHOUT_END, Clock
from shared.data import batches
from shared.network.description import PRESETS
from shared.network.weights import initial_weights

Array = NDArray[np.float32]


def versions() -> dict[str, str]:
    """Return NumPy's version."""
    return {"numpy": np.__version__}


def floor(network: str, clock: Clock) -> None:
    """Train with forward pass, gradients and SGD written by hand."""
    data, test = given.mnist()
    described = PRESETS[network].network((28, 28, 1), 10)
    weights = w1, b1, w2, b2 = list(initial_weights(described, SEED).values())
    rate, pixels, labels = np.float32(LEARNING_RATE), data.images.reshape(len(data), -1), data.labels

    def forward(pixels: NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        x = pixels.astype(np.float32)
        x *= np.float32(1 / 255)
        hidden = 1 / (1 + np.exp(-(x @ w1 + b1)))
        return x, hidden, hidden @ w2 + b2

    def softmax(logits: Array) -> Array:
        powers = np.exp(logits - logits.max(1, keepdims=True))
        powers /= powers.sum(1, keepdims=True)
        return powers

    def figures(logits: Array, labels: NDArray[np.int64]) -> tuple[float, float]:
        """Return the sum of the losses and the number of correct predictions."""
        of_labels = softmax(logits)[np.arange(len(labels)), labels]
        return -float(np.log(of_labels).sum()), np.count_nonzero(logits.argmax(1) == labels)

    for epoch in range(1, WITHOUT_END):
        clock.begin()
        order = batches.draw_order(SEED, epoch, len(data))
        batch_logits = []
        for start in range(0, len(data), BATCH):
            batch = order[start : start + BATCH]
            x, hidden, logits = forward(pixels[batch])
            batch_logits.append(logits)
            error = softmax(logits)
            error[np.arange(len(batch)), labels[batch]] -= 1
            error /= len(batch)
            hidden_error = error @ w2.T * hidden * (1 - hidden)
            gradients = x.T @ hidden_error, hidden_error.sum(0), hidden.T @ error, error.sum(0)
            for weight, gradient in zip(weights, gradients, strict=True):
                np.subtract(weight, rate * gradient, out=weight)
        loss, correct = figures(np.concatenate(batch_logits), labels[order])
        test_loss, test_correct = 0.0, 0
        for start in range(0, len(test), EVALUATION_BATCH):
            *_, logits = forward(test.images[start : start + EVALUATION_BATCH].reshape(-1, 784))
            batch_loss, batch_correct = figures(logits, test.labels[start : start + EVALUATION_BATCH])
            test_loss, test_correct = test_loss + batch_loss, test_correct + batch_correct
        print(f"loss {loss / len(data):.4f}, accuracy {correct / len(data):.4f}, test {test_loss / len(test):.4f}")
        clock.end(test_correct / len(test))


WAYS = {"floor": floor}
