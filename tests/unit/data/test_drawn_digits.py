"""Drawn digits look like the dataset's own: their size, their place, and their variety."""

import numpy as np
import pytest

from shared.data.drawn_digits import CLASSES, FORMS, draw_digits


def draw(seed: int, classes: list[int], height: int = 28, width: int = 28) -> np.ndarray:
    """Draw digits with a random generator of this seed."""
    return draw_digits(np.random.default_rng(seed), np.array(classes), height, width)


def test_seed_and_class_decide_every_pixel() -> None:
    digits = draw(3, list(range(10)))
    assert (digits.shape, digits.dtype) == ((10, 28, 28, 1), np.uint8)
    assert (draw(3, list(range(10))) == digits).all()
    assert (draw(4, list(range(10))) != digits).any((1, 2, 3)).all()
    assert len({picture.tobytes() for picture in draw(3, [7] * 20)}) == 20


def test_every_class_but_the_one_has_forms_inside_their_box() -> None:
    assert set(FORMS) == set(CLASSES) - {"1"}
    for forms in FORMS.values():
        for form in forms:
            points = np.concatenate([np.array(stroke) for stroke in form.strokes])
            assert points.min() >= 0
            assert points.max() <= 1


def test_a_drawing_fits_the_box_of_20_pixels_and_its_centre_of_mass_is_in_the_middle() -> None:
    digits = draw(0, list(range(10)) * 20)[..., 0].astype(np.float64)
    rows, columns = (np.indices((28, 28)) - 13.5).reshape(2, 1, 28, 28)
    total = digits.sum((1, 2))
    assert np.abs((digits * rows).sum((1, 2)) / total).max() < 0.3
    assert np.abs((digits * columns).sum((1, 2)) / total).max() < 0.3
    is_ink = digits > 40
    longer = np.maximum(is_ink.any(1).sum(1), is_ink.any(2).sum(1))
    assert longer.min() >= 18
    assert longer.max() <= 22


def test_strokes_have_many_widths() -> None:
    inks = draw(0, [0] * 100).mean((1, 2, 3))
    assert inks.max() > 2 * inks.min()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 30), (64, 64)])
def test_digits_are_drawn_at_the_dataset_s_own_size(height: int, width: int) -> None:
    digits = draw(0, list(range(10)), height, width)
    assert digits.shape == (10, height, width, 1)
    assert (digits.max((1, 2, 3)) > 100).all()
