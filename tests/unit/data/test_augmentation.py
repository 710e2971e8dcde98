"""Augmentation transforms each picture by random amounts within the limits, and keeps shape and dtype."""

import numpy as np
import pytest
from pydantic import ValidationError

from shared.data.augmentation import Augmentation, augment

GENERATOR = np.random.default_rng(0)
AUGMENTATION = Augmentation(shift=0.2, rotate=30, zoom=0.2)


def bright_blocks(height: int = 11, width: int = 11, channels: int = 1) -> np.ndarray:
    """Return 100 black pictures, each with a bright block of 3 x 3 pixels in the middle."""
    images = np.zeros((100, height, width, channels), np.uint8)
    images[:, height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2] = 200
    return images


def centres(images: np.ndarray) -> np.ndarray:
    """Return each picture's centre of brightness, as (row, column) relative to its middle."""
    weights = images.sum(-1, dtype=np.float64)
    rows, columns = np.indices(weights.shape[1:]) - np.array(weights.shape[1:]).reshape(2, 1, 1) / 2 + 0.5
    total = weights.sum((1, 2))
    return np.stack([(weights * rows).sum((1, 2)) / total, (weights * columns).sum((1, 2)) / total], axis=1)


@pytest.mark.parametrize("shape", [(5, 9, 7, 1), (5, 8, 8, 3), (5, 1, 1, 1), (0, 4, 4, 3)])
def test_amounts_of_0_leave_every_bit_of_a_picture_unchanged(shape: tuple[int, ...]) -> None:
    images = GENERATOR.integers(0, 256, shape, np.uint8)
    assert (augment(images, Augmentation(), 3, 4) == images).all()


@pytest.mark.parametrize(
    "by", [AUGMENTATION, Augmentation(rotate=180), Augmentation(shift=0.5), Augmentation(zoom=0.5)], ids=str
)
@pytest.mark.parametrize("shape", [(6, 9, 7, 1), (6, 8, 10, 3)])
def test_seed_and_epoch_decide_every_pixel(by: Augmentation, shape: tuple[int, ...]) -> None:
    images = GENERATOR.integers(0, 256, shape, np.uint8)
    before = images.copy()
    moved = augment(images, by, 3, 4)
    assert (moved.dtype, moved.shape) == (np.uint8, shape)
    assert (images == before).all()
    assert (augment(images, by, 3, 4) == moved).all()
    for seed, epoch in ((4, 4), (3, 5)):
        assert (augment(images, by, seed, epoch) != moved).any()
    # Each picture has amounts of its own, even if it occurs several times.
    same = augment(np.repeat(images[:1], 6, axis=0), by, 3, 4)
    assert len({picture.tobytes() for picture in same}) > 1


def test_a_shift_moves_pictures_in_every_direction_up_to_its_limit() -> None:
    found = centres(augment(bright_blocks(21, 31), Augmentation(shift=0.2), 0, 1))
    for axis, side in enumerate((21, 31)):
        # The limit is a fifth of the side. Interpolation can add half a pixel.
        assert np.abs(found[:, axis]).max() <= 0.2 * side + 0.5
        assert found[:, axis].min() < -0.15 * side < 0.15 * side < found[:, axis].max()


def test_a_rotation_turns_pictures_about_their_centre_in_both_directions() -> None:
    beside = np.zeros((200, 21, 21, 1), np.uint8)
    beside[:, 9:12, 17:20] = 200  # 8 pixels to the right of the middle
    found = centres(augment(beside, Augmentation(rotate=30), 0, 1))
    angles = np.degrees(np.arctan2(found[:, 0], found[:, 1]))
    assert np.hypot(*found.T) == pytest.approx(8, abs=0.3)
    assert -32 < angles.min() < -25
    assert 25 < angles.max() < 32
    # The centre itself stays.
    assert np.abs(centres(augment(bright_blocks(21, 21), Augmentation(rotate=180), 0, 1))).max() < 0.2


def test_zoom_enlarges_and_reduces_pictures_about_their_centre() -> None:
    # The square has a side of 15 pixels: a reduced picture may miss most of a smaller one.
    images = np.zeros((100, 31, 31, 1), np.uint8)
    images[:, 8:23, 8:23] = 200
    zoomed = augment(images, Augmentation(zoom=0.5), 0, 1)
    areas = zoomed.sum((1, 2, 3), dtype=np.int64) / images.sum((1, 2, 3), dtype=np.int64)
    # Sides scale by 0.5 to 1.5, so areas scale by the squares of these.
    assert 0.2 < areas.min() < 0.5
    assert 1.8 < areas.max() < 2.5
    assert np.abs(centres(zoomed)).max() < 0.2


def test_all_channels_of_a_picture_are_transformed_alike() -> None:
    images = np.repeat(bright_blocks(), 3, axis=-1) // np.array([1, 2, 4], np.uint8)
    moved = augment(images, AUGMENTATION, 0, 1).astype(np.int64)
    # The second and third channel are a half and a quarter of the first, up to rounding.
    assert np.abs(moved[..., 0] - 2 * moved[..., 1]).max() <= 2
    assert np.abs(moved[..., 0] - 4 * moved[..., 2]).max() <= 4
    alone = augment(np.ascontiguousarray(images[..., :1]), AUGMENTATION, 0, 1)
    assert np.abs(moved[..., :1] - alone).max() <= 1


def test_pixels_from_outside_the_picture_are_black() -> None:
    white = np.full((50, 10, 10, 1), 255, np.uint8)
    moved = augment(white, Augmentation(shift=0.5), 0, 1)
    assert (moved == 0).any()
    assert (moved[:, 5, 5] == 255).mean() > 0.9  # The centre comes from outside only after a shift by almost half.


@pytest.mark.parametrize(
    "field", [{"shift": 0.6}, {"shift": -0.1}, {"rotate": 181}, {"zoom": 0.6}, {"shear": 0.1}], ids=str
)
def test_amounts_out_of_range_and_unknown_fields_are_refused(field: dict) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(field)
