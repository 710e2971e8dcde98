"""Tandem's own program: a backend and the data stream, used as shared/training/train.py uses them."""

from benchmarks.ways.given import BATCH, LEARNING_RATE, MOMENTUM, SEED, WITHOUT_END, Clock, settings
from shared.backend import Backend
from shared.data import datasets
from shared.data.batches import generate_epochs
from shared.network.description import PRESETS
from shared.network.optimizers import Sgd
from shared.network.weights import initial_weights


def train(backend: Backend, network: str, clock: Clock) -> None:
    """Train a preset on MNIST with SGD."""
    dataset = datasets.find("mnist", settings)
    data, test = (backend.load_data(dataset, settings.cache_dir, split) for split in ("train", "test"))
    described = PRESETS[network].network(dataset.shape, len(dataset.classes))
    model = backend.define_network(described, initial_weights(described, SEED))
    optimizer = backend.define_optimizer(Sgd(learning_rate=LEARNING_RATE, momentum=MOMENTUM[network]), model)
    loss = backend.define_loss()
    epochs = backend.train(
        model, optimizer, loss, data, BATCH, generate_epochs(data, SEED, 1, WITHOUT_END, is_order_shared=True)
    )
    while True:
        clock.begin()
        epoch_loss, accuracy = next(epochs)
        scores = backend.evaluate(model, loss, test)
        print(f"loss {epoch_loss:.4f}, accuracy {accuracy:.4f}, test {scores.loss:.4f}, {scores.accuracy:.4f}")
        clock.end(scores.accuracy)
