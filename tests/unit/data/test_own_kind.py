"""A picture is recognised as one of MNIST's kind by its border, its ink and its centre of mass."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.data import own_kind
from shared.data.own_kind import is_own_kind


def is_own_kind_by_definition(grey: NDArray[np.uint8]) -> bool:
    """Do as `is_own_kind`, step by step, with coordinates of every pixel of ink."""
    brightest, border = int(grey.max()), [*grey[0], *grey[-1], *grey[:, 0], *grey[:, -1]]
    if brightest < own_kind.MIN_BRIGHTEST or sum(map(int, border)) / len(border) > own_kind.MAX_BORDER_MEAN:
        return False
    total = int(grey.sum())
    rows, columns = np.nonzero(grey > own_kind.INK_SHARE * brightest)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    sides = []
    for size, places, axis in ((grey.shape[0], rows, y), (grey.shape[1], columns, x)):
        if abs(int((axis * grey.astype(int)).sum()) / total - size / 2) > own_kind.MAX_OFFSET * size:
            return False
        sides.append((int(places.max()) - int(places.min()) + 1) / size)
    ink = set(zip(rows.tolist(), columns.tolist(), strict=True))
    corners = {(int(row), int(column)) for row in (rows.min(), rows.max()) for column in (columns.min(), columns.max())}
    is_sheet = corners <= ink and min(sides) >= own_kind.MIN_TILE_SIDE
    return own_kind.MIN_SIDE <= max(sides) <= own_kind.MAX_SIDE and not is_sheet


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.integers(0, 50), st.integers(0, 255)),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_a_picture_is_judged_as_the_definition_says(
    shape: tuple[int, int],
    place: tuple[float, float, float, float],
    levels: tuple[int, int],
    density: float,
    seed: int,
) -> None:
    (height, width), (top, left, bottom, right) = shape, place
    random = np.random.Generator(np.random.PCG64(seed))
    grey = np.full(shape, levels[0], np.uint8)
    rows = slice(*sorted((int(top * height), int(bottom * height) + 1)))
    columns = slice(*sorted((int(left * width), int(right * width) + 1)))
    grey[rows, columns][random.random(grey[rows, columns].shape) < density] = levels[1]
    assert is_own_kind(grey) == is_own_kind_by_definition(grey)


def test_digits_are_of_their_own_kind_and_sheets_are_not() -> None:
    stroke = np.zeros((28, 28), np.uint8)
    stroke[5:23, 13:16] = 250
    sheet = np.zeros((28, 28), np.uint8)
    sheet[5:23, 8:20] = 250
    assert is_own_kind(stroke)
    assert not is_own_kind(255 - stroke)
    assert not is_own_kind(np.roll(stroke, 8, 1))
    assert not is_own_kind(sheet)
    assert not is_own_kind(np.zeros((28, 28), np.uint8))
