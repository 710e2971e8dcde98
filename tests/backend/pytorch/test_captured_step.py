"""The step that a GPU records trains like the usual loop, bit for bit.

On a CPU the same step runs without being recorded: everything but the recording itself is tested there.
"""

import numpy as np
import pytest
import torch

from services.pytorch import backend as pytorch
from services.pytorch.captured_step import CapturedSteps, ResidentSteps, preserved, record
from shared.backend import Backend
from shared.data.batches import EpochBatches, generate_epochs
from shared.network.description import Network
from shared.network.layers import AveragePool2D, BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D
from shared.network.optimizers import Adam, Optimizer, Sgd
from shared.network.weights import Arrays
from tests.backend.random_examples import random_split, random_weights

COUNT, BATCH_SIZE = 37, 8  # four whole batches, and a smaller one of 5
NETWORK = Network(
    input_shape=(9, 8, 3),
    layers=(
        *(Conv2D(filters=4, kernel_size=3, padding="same", activation="relu"), BatchNorm(), MaxPool2D()),
        *(AveragePool2D(padding="same"), Flatten(), Dense(units=12, activation="tanh"), Dropout(rate=0.5)),
        Dense(units=4),
    ),
)
DATA = random_split(NETWORK, COUNT, seed=5)
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Sgd(learning_rate=0.1),
    "nesterov": Sgd(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": Adam(learning_rate=0.01, weight_decay=0.1),
}

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records the step, and there is none")


class Trained:
    """A model that is trained epoch by epoch, either in the usual loop or with resident steps."""

    def __init__(self, optimizer: Optimizer, start: "Trained | None" = None) -> None:
        weights = start.weights if start else random_weights(NETWORK, seed=4)
        self.model = pytorch.define_network(NETWORK, weights)
        self.optimizer = pytorch.define_optimizer(optimizer, self.model, start.state if start else None)
        self.loss = pytorch.define_loss()
        self.history: list[float] = []

    @property
    def weights(self) -> Arrays:
        return pytorch.save(self.model)

    @property
    def state(self) -> Arrays:
        return pytorch.save_optimizer(self.optimizer)

    def run(self, kind: type[ResidentSteps] | None, epochs: list[EpochBatches]) -> "Trained":
        """Train; with no kind in the usual loop."""
        images, labels = pytorch.to_device(DATA.images), pytorch.to_device(DATA.labels)
        arguments = (pytorch.train_step, self.model, self.optimizer, self.loss, images, labels, BATCH_SIZE)
        steps = kind(*arguments) if kind else None
        for epoch in epochs:
            torch.manual_seed(epoch.seed)
            if epoch.learning_rate is not None:
                pytorch.optimizers.set_learning_rate(self.optimizer, epoch.learning_rate)
            self.model.train()
            order = pytorch.to_device(epoch.order)
            shown = images if epoch.images is None else pytorch.to_device(epoch.images)
            logits, rest = steps.train(shown, order) if steps else ([], order.split(BATCH_SIZE))
            for batch in rest:
                x, y = shown.index_select(0, batch), labels.index_select(0, batch)
                logits.append(pytorch.train_step(self.model, self.optimizer, self.loss, x, y))
            loss, _ = pytorch.loss_and_correct(self.loss, torch.cat(logits), labels[order])
            self.history.append(float(loss))
            pytorch.evaluate(self.model, self.loss, DATA)
        return self


def epochs(first: int, last: int) -> list[EpochBatches]:
    """Epochs with an order, a learning rate and, in every second one, pictures of their own."""
    drawn = list(generate_epochs(DATA, 7, first, last, True, None, lambda number: 0.1 / number))
    others = random_split(NETWORK, COUNT, seed=6).images
    return [
        EpochBatches(epoch.order, others if number % 2 else None, epoch.seed, epoch.learning_rate)
        for number, epoch in enumerate(drawn, start=first)
    ]


def assert_same(one: Trained, other: Trained) -> None:
    assert one.history == other.history
    for found, expected in ((one.weights, other.weights), (one.state, other.state)):
        assert list(found) == list(expected)
        for name, array in found.items():
            assert array.tobytes() == expected[name].tobytes(), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resident_steps_train_like_the_usual_loop(backend: Backend, name: str) -> None:
    usual = Trained(OPTIMIZERS[name]).run(None, epochs(1, 3))
    assert_same(Trained(OPTIMIZERS[name]).run(ResidentSteps, epochs(1, 3)), usual)


@needs_gpu
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_recorded_steps_train_like_the_usual_loop(backend: Backend, device: str, name: str) -> None:
    if device != "cuda":
        pytest.skip("TANDEM_TEST_DEVICE is not cuda")
    usual = Trained(OPTIMIZERS[name]).run(None, epochs(1, 3))
    assert_same(Trained(OPTIMIZERS[name]).run(CapturedSteps, epochs(1, 3)), usual)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_that_resumes_with_new_tensors_equals_an_undisturbed_one(backend: Backend, name: str) -> None:
    kind = CapturedSteps if pytorch.current_device().type == "cuda" else ResidentSteps
    through = Trained(OPTIMIZERS[name]).run(kind, epochs(1, 4))
    resumed = Trained(OPTIMIZERS[name], Trained(OPTIMIZERS[name]).run(kind, epochs(1, 2))).run(kind, epochs(3, 4))
    resumed.history = [*through.history[:2], *resumed.history]
    assert_same(resumed, through)


@pytest.mark.parametrize("done", [0, 2], ids=["new", "resumed"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_warm_up_changes_nothing(backend: Backend, name: str, done: int) -> None:
    """A warm-up takes real steps: their effects are undone, on random numbers, too."""
    warmed, other = (Trained(OPTIMIZERS[name]).run(ResidentSteps, epochs(1, done)) for _ in range(2))
    before = torch.get_rng_state()
    with preserved(warmed.model, warmed.optimizer):
        warmed.run(ResidentSteps, epochs(5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all((array == other.weights[name]).all() for name, array in warmed.weights.items())
    warmed.history = list(other.history)
    for each in (warmed, other):
        pytorch.optimizers.set_learning_rate(each.optimizer, 0.05)
    assert_same(warmed.run(ResidentSteps, epochs(3, 4)), other.run(ResidentSteps, epochs(3, 4)))


def test_whole_batches_only_are_recorded(backend: Backend) -> None:
    trained = Trained(Sgd())
    images, labels = pytorch.to_device(DATA.images), pytorch.to_device(DATA.labels)
    for size, left in ((COUNT, []), (COUNT - 1, [1]), (1, [])):
        steps = ResidentSteps(pytorch.train_step, trained.model, trained.optimizer, trained.loss, images, labels, size)
        logits, rest = steps.train(images, torch.arange(COUNT, device=labels.device))
        assert [len(batch) for batch in rest] == left
        assert len(torch.cat(logits)) == COUNT - sum(left)


def test_a_cpu_records_nothing(backend: Backend) -> None:
    trained = Trained(Sgd())
    images, labels = torch.tensor(DATA.images), torch.tensor(DATA.labels)
    arguments = (pytorch.train_step, trained.model, trained.optimizer, trained.loss, images, labels)
    assert record(*arguments, BATCH_SIZE) is None
    assert record(*arguments, COUNT + 1) is None


def test_an_epoch_reads_its_own_order(backend: Backend) -> None:
    """Each example is trained once: the order of the epoch decides in which step."""
    one, other = (Trained(Sgd(learning_rate=0.1)) for _ in range(2))
    forwards = np.arange(COUNT)
    one.run(ResidentSteps, [EpochBatches(forwards), EpochBatches(forwards[::-1].copy())])
    other.run(None, [EpochBatches(forwards), EpochBatches(forwards[::-1].copy())])
    assert_same(one, other)
