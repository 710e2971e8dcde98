"""The data stream: the seed and an epoch's number decide it; augmentation moves pictures and keeps their form."""

import numpy as np
import pytest
from pydantic import ValidationError

from shared.data import batches
from shared.data.augmentation import Augmentation, augment
from shared.data.batches import EpochBatches, stream
from shared.data.datasets import Split

GENERATOR = np.random.default_rng(0)
DATA = Split(GENERATOR.integers(0, 256, (12, 9, 7, 1), np.uint8), GENERATOR.integers(0, 3, 12))
ALL = Augmentation(shift=0.2, rotate=30, zoom=0.2)


def assert_same(found: list[EpochBatches], expected: list[EpochBatches]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.seed == other.seed
        assert (one.order == other.order).all()
        assert (one.images == other.images).all()


def dot(height: int = 11, width: int = 11, channels: int = 1) -> np.ndarray:
    """A bright block in the middle of a hundred black pictures."""
    images = np.zeros((100, height, width, channels), np.uint8)
    images[:, height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2] = 200
    return images


def centres(images: np.ndarray) -> np.ndarray:
    """Each picture's centre of brightness, as (row, column) from its middle."""
    weights = images.sum(-1, dtype=np.float64)
    rows, columns = np.indices(weights.shape[1:]) - np.array(weights.shape[1:]).reshape(2, 1, 1) / 2 + 0.5
    total = weights.sum((1, 2))
    return np.stack([(weights * rows).sum((1, 2)) / total, (weights * columns).sum((1, 2)) / total], axis=1)


@pytest.mark.parametrize("first", [1, 2, 5])
def test_starting_at_an_epoch_gives_the_same_as_going_through(first: int) -> None:
    through = list(stream(DATA, 7, 1, 5, shuffle=True, augmentation=ALL))
    assert_same(list(stream(DATA, 7, first, 5, shuffle=True, augmentation=ALL)), through[first - 1 :])


def test_epochs_and_seeds_differ_from_each_other() -> None:
    epochs = [epoch for seed in (7, 8) for epoch in stream(DATA, seed, 1, 3, shuffle=True, augmentation=ALL)]
    assert len({epoch.order.tobytes() for epoch in epochs}) == 6
    assert len({epoch.images.tobytes() for epoch in epochs}) == 6
    assert len({epoch.seed for epoch in epochs}) == 6
    assert all(0 <= epoch.seed < 2**32 for epoch in epochs)


def test_the_orders_are_those_of_the_dataset_and_hold_every_example_once() -> None:
    for number, epoch in enumerate(stream(DATA, 7, 1, 3, shuffle=True), start=1):
        assert (epoch.order == batches.order(7, number, len(DATA))).all()
        assert sorted(epoch.order) == list(range(len(DATA)))
        assert epoch.images is None


def test_an_order_that_is_left_to_the_framework_leaves_the_pictures_and_the_seed_as_they_are() -> None:
    ours = list(stream(DATA, 7, 1, 3, shuffle=True, augmentation=ALL))
    theirs = list(stream(DATA, 7, 1, 3, shuffle=False, augmentation=ALL))
    assert [epoch.order for epoch in theirs] == [None] * 3
    assert [epoch.seed for epoch in theirs] == [epoch.seed for epoch in ours]
    assert all((one.images == other.images).all() for one, other in zip(theirs, ours, strict=True))


def test_an_epoch_is_drawn_when_it_is_asked_for() -> None:
    epochs = stream(DATA, 7, 1, 10**9, shuffle=True)
    assert (next(epochs).order == batches.order(7, 1, len(DATA))).all()


@pytest.mark.parametrize("shape", [(5, 9, 7, 1), (5, 8, 8, 3), (5, 1, 1, 1), (0, 4, 4, 3)])
def test_amounts_of_nothing_leave_pictures_as_they_were_bit_for_bit(shape: tuple[int, ...]) -> None:
    images = GENERATOR.integers(0, 256, shape, np.uint8)
    assert (augment(images, Augmentation(), 3, 4) == images).all()


@pytest.mark.parametrize(
    "by", [ALL, Augmentation(rotate=180), Augmentation(shift=0.5), Augmentation(zoom=0.5)], ids=str
)
@pytest.mark.parametrize("shape", [(6, 9, 7, 1), (6, 8, 10, 3)])
def test_a_seed_and_an_epoch_decide_every_pixel_and_form_and_source_stay(
    by: Augmentation, shape: tuple[int, ...]
) -> None:
    images = GENERATOR.integers(0, 256, shape, np.uint8)
    before = images.copy()
    moved = augment(images, by, 3, 4)
    assert (moved.dtype, moved.shape) == (np.uint8, shape)
    assert (images == before).all()
    assert (augment(images, by, 3, 4) == moved).all()
    for seed, epoch in ((4, 4), (3, 5)):
        assert (augment(images, by, seed, epoch) != moved).any()
    # Each picture is moved by amounts of its own: also one that is there twice.
    same = augment(np.repeat(images[:1], 6, axis=0), by, 3, 4)
    assert len({picture.tobytes() for picture in same}) > 1


def test_a_shift_moves_pictures_by_up_to_its_share_of_each_side_and_every_way() -> None:
    found = centres(augment(dot(21, 31), Augmentation(shift=0.2), 0, 1))
    for axis, side in enumerate((21, 31)):
        # A fifth of the side, within the half pixel that blending between pixels costs.
        assert np.abs(found[:, axis]).max() <= 0.2 * side + 0.5
        assert found[:, axis].min() < -0.15 * side < 0.15 * side < found[:, axis].max()


def test_rotating_turns_about_the_centre_either_way() -> None:
    beside = np.zeros((200, 21, 21, 1), np.uint8)
    beside[:, 9:12, 17:20] = 200  # eight to the right of the middle
    found = centres(augment(beside, Augmentation(rotate=30), 0, 1))
    angles = np.degrees(np.arctan2(found[:, 0], found[:, 1]))
    assert np.hypot(*found.T) == pytest.approx(8, abs=0.3)
    assert -32 < angles.min() < -25
    assert 25 < angles.max() < 32
    # The centre itself stays.
    assert np.abs(centres(augment(dot(21, 21), Augmentation(rotate=180), 0, 1))).max() < 0.2


def test_zoom_makes_things_larger_and_smaller_about_the_centre() -> None:
    # A square of 15 pixels: of a few pixels alone a smaller picture may miss most.
    images = np.zeros((100, 31, 31, 1), np.uint8)
    images[:, 8:23, 8:23] = 200
    zoomed = augment(images, Augmentation(zoom=0.5), 0, 1)
    areas = zoomed.sum((1, 2, 3), dtype=np.int64) / images.sum((1, 2, 3), dtype=np.int64)
    # By 0.5 to 1.5 on each side, that is by their squares in area.
    assert 0.2 < areas.min() < 0.5
    assert 1.8 < areas.max() < 2.5
    assert np.abs(centres(zoomed)).max() < 0.2


def test_colours_are_moved_together() -> None:
    images = np.repeat(dot(), 3, axis=-1) // np.array([1, 2, 4], np.uint8)
    moved = augment(images, ALL, 0, 1).astype(np.int64)
    # A half and a quarter of what the first colour is, within the rounding of each.
    assert np.abs(moved[..., 0] - 2 * moved[..., 1]).max() <= 2
    assert np.abs(moved[..., 0] - 4 * moved[..., 2]).max() <= 4
    alone = augment(np.ascontiguousarray(images[..., :1]), ALL, 0, 1)
    assert np.abs(moved[..., :1] - alone).max() <= 1


def test_what_comes_in_from_outside_is_black() -> None:
    white = np.full((50, 10, 10, 1), 255, np.uint8)
    moved = augment(white, Augmentation(shift=0.5), 0, 1)
    assert (moved == 0).any()
    assert (moved[:, 5, 5] == 255).mean() > 0.9  # the centre is outside only where almost half was moved away


@pytest.mark.parametrize(
    "field", [{"shift": 0.6}, {"shift": -0.1}, {"rotate": 181}, {"zoom": 0.6}, {"shear": 0.1}], ids=str
)
def test_amounts_out_of_range_and_unknown_ones_are_refused(field: dict) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(field)
