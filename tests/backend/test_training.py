"""Training in a given order agrees with the reference. A framework can also shuffle the examples itself."""

import numpy as np
import pytest
from hypothesis import given, note, settings

from shared.data import batches
from shared.data.batches import EpochBatches
from shared.data.datasets import Split
from shared.network.description import Network
from shared.network.layers import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D
from shared.network.optimizers import Adam, Sgd
from tests.backend import reference
from tests.backend.distance import distance
from tests.backend.random_examples import examples, few, random_split, random_weights

# float32 rounds a number by up to 6e-8 of its size, and every step adds such an error to weights of about 1. The error
# of 40 steps is usually about 1e-6. Where two values are almost equal, as in a maximum, rounding decides which one is
# taken, and the error grows at once. It depends on the processor and on the number of threads, because they decide the
# order of sums. The largest error of 24 trainings of `convolution` in PyTorch, with 8 weights and 3 numbers of threads,
# was 1.6e-5. The tolerance is three times that. A mistake changes weights by at least 1e-3, see the last test.
TOLERANCE = 5e-5
COUNT = 37  # 4 batches of 8, and a smaller one of 5

NETWORKS = {
    "sigmoid": Network(
        input_shape=(5, 3, 3), layers=(Flatten(), Dense(units=10, activation="sigmoid"), Dense(units=4))
    ),
    "relu": Network(
        input_shape=(4, 6, 1),
        layers=(Flatten(), Dense(units=12, activation="relu"), Dense(units=6, activation="relu"), Dense(units=3)),
    ),
    "convolution": Network(
        input_shape=(7, 6, 3),
        layers=(
            *(Conv2D(filters=4, kernel_size=3, padding="same", activation="relu"), BatchNorm(), MaxPool2D()),
            *(Flatten(), Dense(units=4)),
        ),
    ),
    "linear": Network(input_shape=(3, 3, 1), layers=(Flatten(), Dense(units=5))),
}


SGD = Sgd(learning_rate=0.1)


def orders_of(count, epochs):
    return [EpochBatches(batches.draw_order(7, epoch, count)) for epoch in range(epochs)]


def train(backend, network, weights, data, batch_size, epochs, sgd=SGD, precision="float32"):
    """Train and return the model and its history of (loss, accuracy)."""
    model = backend.define_network(network, weights, precision)
    optimizer = backend.define_optimizer(sgd, model)
    return model, list(backend.train(model, optimizer, backend.define_loss(), data, batch_size, epochs))


def train_reference(network, weights, data, batch_size, epochs, optimizer=SGD):
    """Train the reference and return the weights and the history of (loss, accuracy)."""
    parameters, state, history = reference.to_float64(weights), {}, []
    for epoch in epochs:
        shown = data if epoch.images is None else Split(epoch.images, data.labels)
        parameters, state, *seen = reference.epoch(
            network, parameters, shown, epoch.order, batch_size, optimizer, state
        )
        history.append(tuple(seen))
    return parameters, history


def assert_agrees(backend, network, data, batch_size, epochs):
    weights = random_weights(network, seed=4)
    model, history = train(backend, network, weights, data, batch_size, epochs)
    expected, expected_history = train_reference(network, weights, data, batch_size, epochs)
    for name, array in backend.save(model).items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=TOLERANCE, err_msg=name)
    assert [loss for loss, _ in history] == pytest.approx([loss for loss, _ in expected_history], rel=TOLERANCE)
    # Accuracy is a quotient of two counts in float64, so it is equal to the last digit.
    assert [accuracy for _, accuracy in history] == [accuracy for _, accuracy in expected_history]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_after_eight_epochs_agree_with_the_reference(backend, name):
    network = NETWORKS[name]
    assert_agrees(backend, network, random_split(network, COUNT, seed=5), 8, orders_of(COUNT, 8))


# A framework may need seconds to build the graph of an epoch, so this test has fewer examples than test_traces.py.
@settings(few, max_examples=10)
@given(example=examples())
def test_training_any_network_agrees_with_the_reference(backend, example):
    note(repr(example))
    network, optimizer, seed = example
    weights, data = random_weights(network, seed), random_split(network, 11, seed)
    model, history = train(backend, network, weights, data, 4, orders_of(11, 2), optimizer, "float64")
    expected, expected_history = train_reference(network, weights, data, 4, orders_of(11, 2), optimizer)
    # Six steps in float64, see test_traces.py.
    assert distance(backend.save(model), expected) <= 1e-9
    assert np.array(history) == pytest.approx(np.array(expected_history), rel=1e-9)


@pytest.mark.parametrize(
    "optimizer",
    # Adam's epsilon is far larger than the rounding of a gradient. Otherwise Adam would divide noise by noise.
    [Sgd(learning_rate=0.02, momentum=0.9, nesterov=True), Adam(epsilon=1e-3, weight_decay=0.1)],
    ids=["nesterov", "adam"],
)
@pytest.mark.parametrize("name", ["sigmoid", "convolution"])
def test_every_optimizer_agrees_with_the_reference(backend, name, optimizer):
    network, data = NETWORKS[name], random_split(NETWORKS[name], COUNT, seed=5)
    weights = random_weights(network, seed=4)
    model, history = train(backend, network, weights, data, 8, orders_of(COUNT, 4), optimizer)
    expected, expected_history = train_reference(network, weights, data, 8, orders_of(COUNT, 4), optimizer)
    # Momentum and Adam carry the rounding errors of one step into the next ones.
    assert distance(backend.save(model), expected) <= TOLERANCE
    assert [loss for loss, _ in history] == pytest.approx([loss for loss, _ in expected_history], rel=TOLERANCE)


def test_an_epoch_may_have_images_of_its_own(backend):
    network, data = NETWORKS["convolution"], random_split(NETWORKS["convolution"], COUNT, seed=5)
    others = [random_split(network, COUNT, seed).images for seed in (6, 7)]
    order = np.random.default_rng(0).permutation(COUNT)
    # The second epoch uses the images of the dataset.
    epochs = [EpochBatches(order, others[0]), EpochBatches(order), EpochBatches(order, others[1])]
    assert_agrees(backend, network, data, 8, epochs)


@pytest.mark.parametrize("batch_size", [1, COUNT - 1, COUNT, COUNT + 1, 1000])
def test_a_batch_may_have_one_example_or_all_or_be_larger_than_the_dataset(backend, batch_size):
    network = NETWORKS["sigmoid"]
    assert_agrees(backend, network, random_split(network, COUNT, seed=5), batch_size, orders_of(COUNT, 1))


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_dataset_may_have_a_single_example(backend, batch_size):
    network = NETWORKS["relu"]
    assert_agrees(backend, network, random_split(network, 1, seed=5), batch_size, orders_of(1, 3))


def test_without_epochs_nothing_is_trained(backend):
    network = NETWORKS["linear"]
    weights = random_weights(network, seed=0)
    model, history = train(backend, network, weights, random_split(network, 3, seed=0), 2, [])
    assert history == []
    assert all((backend.save(model)[name] == weights[name]).all() for name in weights)


def test_an_epoch_is_taken_from_the_stream_when_it_begins(backend):
    network, drawn = NETWORKS["linear"], []

    def epochs():
        for epoch in range(3):
            drawn.append(epoch)
            yield EpochBatches(np.arange(COUNT))

    model = backend.define_network(network, None)
    optimizer = backend.define_optimizer(Sgd(), model)
    data = random_split(network, COUNT, seed=0)
    trained = backend.train(model, optimizer, backend.define_loss(), data, 8, epochs())
    for epoch in range(3):
        next(trained)
        assert drawn == list(range(epoch + 1))


def test_evaluating_serving_and_saving_between_epochs_change_nothing(backend):
    network = NETWORKS["sigmoid"]
    weights, data = random_weights(network, seed=4), random_split(network, COUNT, seed=5)
    undisturbed, expected = train(backend, network, weights, data, 8, orders_of(COUNT, 3))
    model, loss = backend.define_network(network, weights), backend.define_loss()
    optimizer = backend.define_optimizer(SGD, model)
    history = []
    for seen in backend.train(model, optimizer, loss, data, 8, orders_of(COUNT, 3)):
        history.append(seen)
        backend.evaluate(model, loss, data)
        backend.serve(model)(data.images[:2])
        backend.save(model)
    assert history == expected
    assert all((array == backend.save(undisturbed)[name]).all() for name, array in backend.save(model).items())


def test_a_network_whose_relus_are_all_off_trains_only_its_last_bias(backend):
    network = Network(input_shape=(2, 2, 1), layers=(Flatten(), Dense(units=3, activation="relu"), Dense(units=2)))
    weights = random_weights(network, seed=0)
    # The input of every ReLU is exactly 0, where its derivative is 0 by convention.
    weights["layers.1.kernel"].fill(0)
    weights["layers.1.bias"].fill(0)
    data = random_split(network, 6, seed=0)
    model, _ = train(backend, network, weights, data, 4, orders_of(6, 2))
    trained = backend.save(model)
    changed = {name for name in weights if (trained[name] != weights[name]).any()}
    assert changed == {"layers.2.bias"}


@pytest.mark.parametrize("frozen", ["images", "labels", "order"])
def test_images_labels_and_order_may_be_read_only(backend, frozen):
    network = NETWORKS["linear"]
    data, order = random_split(network, COUNT, seed=5), np.arange(COUNT)
    {"images": data.images, "labels": data.labels, "order": order}[frozen].setflags(write=False)
    assert_agrees(backend, network, data, 8, [EpochBatches(order, data.images)])


def test_an_order_drawn_by_the_framework_has_every_example_once(backend):
    network = NETWORKS["sigmoid"]
    weights, data = random_weights(network, seed=4), random_split(network, COUNT, seed=5)
    # The learning rate is too small to change a weight, so the loss of an epoch is the mean over the data in any order.
    epochs, still = [EpochBatches(None, seed=1), EpochBatches(None, seed=2)], Sgd(learning_rate=1e-30)
    _, history = train(backend, network, weights, data, 8, epochs, still)
    loss, accuracy, _ = reference.evaluate(network, reference.to_float64(weights), data)
    assert history == [(pytest.approx(loss, rel=TOLERANCE), accuracy)] * 2


def test_an_order_drawn_by_the_framework_depends_on_the_seed_of_the_epoch(backend):
    network = NETWORKS["sigmoid"]
    weights, data = random_weights(network, seed=4), random_split(network, COUNT, seed=5)

    def end(epoch):
        model, _ = train(backend, network, weights, data, 1, [epoch])
        return backend.save(model)["layers.1.kernel"].tobytes()

    assert len({end(EpochBatches(None, seed=seed)) for seed in (1, 2, 3)} | {end(EpochBatches(np.arange(COUNT)))}) == 4
    assert end(EpochBatches(None, seed=1)) == end(EpochBatches(None, seed=1))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_tolerance_is_far_below_the_effect_of_a_mistake(name):
    network = NETWORKS[name]
    weights, data, orders = random_weights(network, seed=4), random_split(network, COUNT, seed=5), orders_of(COUNT, 8)
    right, first = train_reference(network, weights, data, 8, orders)[0], next(iter(weights))
    whole = [EpochBatches(epoch.order[:32]) for epoch in orders]
    mistakes = {
        "the orders come in another order": train_reference(network, weights, data, 8, orders[::-1]),
        "the smaller batch is dropped": train_reference(network, weights, data, 8, whole),
        "the batch is larger by one": train_reference(network, weights, data, 9, orders),
        "pixels are divided by 256": train_reference(
            network, {k: v * (255 / 256 if k == first else 1) for k, v in weights.items()}, data, 8, orders
        ),
    }
    for mistake, (wrong, _) in mistakes.items():
        moved = max(np.abs(wrong[parameter] - right[parameter]).max() for parameter in right)
        assert moved > 20 * TOLERANCE, mistake
