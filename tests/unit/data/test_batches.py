"""Epochs are decided by the seed and by their number. Every order is a permutation of the examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data import batches
from shared.data.augmentation import Augmentation
from shared.data.batches import EpochBatches, generate_epochs
from shared.data.splits import Split

GENERATOR = np.random.default_rng(0)
DATA = Split(GENERATOR.integers(0, 256, (12, 9, 7, 1), np.uint8), GENERATOR.integers(0, 3, 12))
AUGMENTATION = Augmentation(shift=0.2, rotate=30, zoom=0.2)


def assert_same(epochs: list[EpochBatches], expected: list[EpochBatches]) -> None:
    for one, other in zip(epochs, expected, strict=True):
        assert one.seed == other.seed
        assert (one.order == other.order).all()
        assert (one.images == other.images).all()


@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_stream_that_starts_later_gives_the_same_epochs(first: int) -> None:
    all_epochs = list(generate_epochs(DATA, 7, 1, 5, is_order_shared=True, augmentation=AUGMENTATION))
    assert_same(
        list(generate_epochs(DATA, 7, first, 5, is_order_shared=True, augmentation=AUGMENTATION)),
        all_epochs[first - 1 :],
    )


def test_epochs_of_different_numbers_and_seeds_differ() -> None:
    epochs = [
        epoch
        for seed in (7, 8)
        for epoch in generate_epochs(DATA, seed, 1, 3, is_order_shared=True, augmentation=AUGMENTATION)
    ]
    assert len({epoch.order.tobytes() for epoch in epochs}) == 6
    assert len({epoch.images.tobytes() for epoch in epochs}) == 6
    assert len({epoch.seed for epoch in epochs}) == 6
    assert all(0 <= epoch.seed < 2**32 for epoch in epochs)


def test_each_epoch_has_every_example_once_in_the_order_of_its_number() -> None:
    for number, epoch in enumerate(generate_epochs(DATA, 7, 1, 3, is_order_shared=True), start=1):
        assert (epoch.order == batches.draw_order(7, number, len(DATA))).all()
        assert sorted(epoch.order) == list(range(len(DATA)))
        assert epoch.images is None


def test_without_an_order_the_pictures_and_seeds_are_the_same() -> None:
    with_order = list(generate_epochs(DATA, 7, 1, 3, is_order_shared=True, augmentation=AUGMENTATION))
    without_order = list(generate_epochs(DATA, 7, 1, 3, is_order_shared=False, augmentation=AUGMENTATION))
    assert [epoch.order for epoch in without_order] == [None] * 3
    assert [epoch.seed for epoch in without_order] == [epoch.seed for epoch in with_order]
    assert all((one.images == other.images).all() for one, other in zip(without_order, with_order, strict=True))


def test_each_epoch_has_the_learning_rate_of_its_number() -> None:
    epochs = generate_epochs(DATA, 7, 3, 5, is_order_shared=True, learning_rate=lambda number: 1 / number)
    assert [epoch.learning_rate for epoch in epochs] == [1 / 3, 1 / 4, 1 / 5]
    assert next(generate_epochs(DATA, 7, 1, 1, is_order_shared=True)).learning_rate is None


def test_an_epoch_is_drawn_when_it_is_requested() -> None:
    epochs = generate_epochs(DATA, 7, 1, 10**9, is_order_shared=True)
    assert (next(epochs).order == batches.draw_order(7, 1, len(DATA))).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 1000), st.integers(1, 300))
def test_an_order_is_a_permutation_decided_by_seed_and_epoch(seed: int, epoch: int, count: int) -> None:
    order = batches.draw_order(seed, epoch, count)
    assert sorted(order) == list(range(count))
    assert np.array_equal(order, batches.draw_order(seed, epoch, count))
    assert order.dtype == np.int64


def test_orders_of_different_epochs_and_seeds_differ() -> None:
    orders = {batches.draw_order(seed, epoch, 100).tobytes() for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
