"""Augmentation transforms each picture by random amounts within the limits, and keeps shape and dtype."""

import hashlib

import numpy as np
import pytest
from pydantic import ValidationError

from shared.data.augmentation import CHUNK, Augmentation, augment
from shared.errors import InvalidRequestError

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
    "by",
    [
        *(AUGMENTATION, Augmentation(rotate=180), Augmentation(shift=0.5), Augmentation(zoom=0.5)),
        *(Augmentation(stretch=0.5), Augmentation(shear=1.0), Augmentation(elastic=0.2), Augmentation(stroke=0.1)),
        *(Augmentation(fade=0.5), Augmentation(square=1.0), Augmentation(rotate=20, stretch=0.2, elastic=0.1)),
    ],
    ids=str,
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


def test_a_request_without_the_newer_amounts_gives_the_pictures_that_it_gave_before() -> None:
    """The digest was computed before there were other amounts. A model that was trained then can be trained again."""
    images = np.random.Generator(np.random.PCG64(5)).integers(0, 256, (20, 28, 28, 1), np.uint8)
    moved = augment(images, Augmentation(shift=0.07, rotate=10.0, zoom=0.1), 0, 1)
    assert (
        hashlib.sha256(moved.tobytes()).hexdigest()
        == "ea41248bec9c5c05cc107f382956ca227191949953d5107779dcbfaaebe25456"
    )


def test_a_stretch_changes_width_and_height_each_by_itself() -> None:
    images = np.zeros((200, 31, 31, 1), np.uint8)
    images[:, 8:23, 8:23] = 200
    is_bright = augment(images, Augmentation(stretch=0.3), 0, 1)[..., 0] > 100
    heights, widths = is_bright.any(2).sum(1), is_bright.any(1).sum(1)
    for sides in (heights, widths):
        assert 15 * 0.7 - 1 <= sides.min() < 13
        assert 17 < sides.max() <= 15 * 1.3 + 1
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.3


def test_a_shear_moves_the_top_and_the_bottom_in_opposite_directions() -> None:
    images = np.zeros((200, 31, 31, 1), np.uint8)
    images[:, 5:26, 14:17] = 200
    sheared = augment(images, Augmentation(shear=0.5), 0, 1)
    top, bottom = centres(sheared[:, 5:8])[:, 1], centres(sheared[:, 23:26])[:, 1]
    assert top + bottom == pytest.approx(np.zeros(200), abs=0.3)
    # The rows are 9 pixels from the middle, so the limit is 4.5 pixels.
    assert -4.8 < top.min() < -3.5
    assert 3.5 < top.max() < 4.8


def test_an_elastic_distortion_bends_lines_and_leaves_the_amount_of_ink_about_as_it_was() -> None:
    images = np.zeros((100, 28, 28, 1), np.uint8)
    images[:, 4:24, 13:15] = 200
    bent = augment(images, Augmentation(elastic=0.08), 0, 1)
    rows = bent[:, 6:22, :, 0].astype(np.float64)
    places = (rows * np.arange(28)).sum(2) / rows.sum(2)
    straight = np.linspace(places[:, 0], places[:, -1], 16, axis=1)
    assert np.median(np.abs(places - straight).max(1)) > 0.5
    assert np.abs(places - 13.5).max() <= 0.08 * 28 + 0.6
    assert int(bent.sum()) == pytest.approx(int(images.sum()), rel=0.1)


def test_strokes_become_wider_and_narrower_and_keep_their_brightness() -> None:
    images = np.zeros((200, 30, 30, 1), np.uint8)
    images[:, 5:25, 13:17] = 200
    changed = augment(images, Augmentation(stroke=0.05), 0, 1)
    widths = changed[:, 15, :, 0].sum(1, dtype=np.int64) / 200
    # Each edge moves outwards by up to 1.5 pixels, or inwards by up to 0.75.
    assert 2.4 < widths.min() < 3
    assert 6 < widths.max() < 7.1
    assert (changed.max((1, 2, 3)) == 200).all()


def test_fading_multiplies_a_picture_by_one_number() -> None:
    images = np.full((200, 6, 6, 1), 200, np.uint8)
    faded = augment(images, Augmentation(fade=0.6), 0, 1)
    assert (faded == faded[:, :1, :1]).all()
    assert 80 <= faded.min() < 100
    assert 180 < faded.max() <= 200


def test_a_share_of_the_drawings_is_stretched_towards_a_square() -> None:
    images = np.zeros((400, 28, 28, 1), np.uint8)
    images[:, 4:24, 11:17] = 200  # 20 high and 6 wide
    is_bright = augment(images, Augmentation(square=0.5), 0, 1)[..., 0] > 100
    widths = is_bright.any(1).sum(1)
    assert (widths == 6).mean() == pytest.approx(0.5, abs=0.1)
    assert widths.max() == pytest.approx(20, abs=1)
    assert (is_bright.any(2).sum(1) == 20).all()


def test_a_share_of_the_pictures_is_replaced_by_drawn_digits_of_the_same_class() -> None:
    images, labels = np.full((300, 28, 28, 1), 77, np.uint8), np.arange(300) % 10
    mixed = augment(images, Augmentation(drawn=0.3), 0, 1, labels)
    is_drawn = (mixed != 77).any((1, 2, 3))
    assert is_drawn.mean() == pytest.approx(0.3, abs=0.08)
    assert (mixed[is_drawn].min((1, 2, 3)) == 0).all()
    # A drawn 1 has less ink than a drawn 8.
    ones, eights = (mixed[is_drawn & (labels == digit)].mean() for digit in (1, 8))
    assert ones < 0.8 * eights
    assert (augment(images, Augmentation(drawn=0.3), 0, 1, labels) == mixed).all()


def test_drawn_digits_need_labels_and_a_dataset_of_grey_digits() -> None:
    by, digits = Augmentation(drawn=0.1), tuple("0123456789")
    with pytest.raises(ValueError, match="labels"):
        augment(np.zeros((2, 28, 28, 1), np.uint8), by, 0, 1)
    with pytest.raises(ValueError, match="grey"):
        augment(np.zeros((2, 28, 28, 3), np.uint8), by, 0, 1, np.zeros(2, np.int64))
    by.check((28, 28, 1), digits)
    AUGMENTATION.check((28, 28, 3), ("cat", "dog"))
    for shape, classes in (((28, 28, 3), digits), ((28, 28, 1), ("cat", "dog"))):
        with pytest.raises(InvalidRequestError, match=r"augmentation\.drawn"):
            by.check(shape, classes)


def test_pictures_beyond_the_first_part_are_changed_too() -> None:
    images = np.tile(bright_blocks()[:1], (CHUNK + 3, 1, 1, 1))
    found = centres(augment(images, Augmentation(shear=0.1, shift=0.2), 0, 1))
    assert (np.abs(found[-3:]).max(1) > 0.05).all()


@pytest.mark.parametrize(
    "field",
    [{"shift": 0.6}, {"shift": -0.1}, {"rotate": 181}, {"zoom": 0.6}, {"blur": 0.1}, {"stretch": 0.6}, {"shear": 1.1}],
    ids=str,
)
def test_amounts_out_of_range_and_unknown_fields_are_refused(field: dict) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(field)
