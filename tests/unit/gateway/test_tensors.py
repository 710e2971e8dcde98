"""Tensors on the wire become exactly the pictures that were sent, or are refused with a reason."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.gateway.prediction.tensors import DATATYPES, check_shape, images_from_bytes, images_from_json, split_body
from shared.errors import InvalidRequestError

SHAPE = [2, 4, 3, 1]
NUMPY = {"FP": "float", "INT": "int", "UINT": "uint"}

pictures = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner))


def of(datatype: str) -> str:
    """NumPy's own name of a datatype."""
    kind = datatype.rstrip("0123456789")
    return NUMPY[kind] + datatype.removeprefix(kind)


@given(pictures, st.sampled_from(["int", "float"]))
def test_numbers_flat_or_nested_become_the_same_pictures(sent: np.ndarray, kind: str) -> None:
    for values in (sent.ravel(), sent):
        data = json.loads(json.dumps(values.astype(kind).tolist()))
        given_back = images_from_json(data, list(sent.shape))
        assert given_back.dtype == np.uint8
        assert np.array_equal(given_back, sent)


@given(pictures, st.sampled_from(sorted(DATATYPES)))
def test_bytes_of_every_datatype_become_the_same_pictures(sent: np.ndarray, datatype: str) -> None:
    sent = sent % 128  # what int8 holds, too
    given_back = images_from_bytes(sent.astype(of(datatype)).tobytes(), datatype, list(sent.shape))
    assert given_back.dtype == np.uint8
    assert np.array_equal(given_back, sent)


@given(anything)
def test_any_json_gives_pictures_or_a_reason_and_nothing_else(data: Any) -> None:
    data = data if isinstance(data, list) else [data]
    for shape in ([1, 1, 1, 1], [len(data) or 1, 1, 1, 1], SHAPE):
        try:
            found = images_from_json(data, shape)
        except InvalidRequestError:
            continue
        assert np.array_equal(np.array(data, float).ravel(), found.ravel())


@given(st.binary(max_size=64), st.sampled_from(sorted(DATATYPES)))
def test_any_bytes_give_pictures_or_a_reason_and_nothing_else(data: bytes, datatype: str) -> None:
    try:
        found = images_from_bytes(data, datatype, [1, 1, 1, 1])
    except InvalidRequestError:
        return
    assert np.array_equal(np.frombuffer(data, of(datatype)).astype(float), found.ravel())


FLAT = [0] * 24


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "but 0 were sent"),
        (FLAT[1:], "but 23 were sent"),
        ([*FLAT, 0], "but 25 were sent"),
        ([*FLAT[1:], 256], "whole numbers from 0 to 255"),
        ([*FLAT[1:], -1], "whole numbers"),
        ([*FLAT[1:], 10**30], "whole numbers"),
        ([*FLAT[1:], 0.5], "whole numbers"),
        ([0.0, *FLAT[2:], 10**400], "whole numbers"),
        ([*FLAT[1:], math.nan], "whole numbers"),
        ([*FLAT[1:], math.inf], "whole numbers"),
        ([*FLAT[1:], True], "a boolean"),
        ([*FLAT[1:], "7"], "a text"),
        ([*FLAT[1:], None], "null"),
        ([*FLAT[1:], [7]], "a list"),
        ([*FLAT[1:], {}], "an object"),
        ([[0] * 12, [0] * 12], "not nested like the shape [2, 4, 3, 1]"),
        ([[[[0]] * 3] * 4, [[[0]] * 3] * 3], "not nested"),
        ([[[[0]] * 3] * 4, 0], "not nested"),
        ([[[[True]] * 3] * 4] * 2, "a boolean"),
        ([[[[[0]]] * 3] * 4] * 2, "a list"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_with_the_reason(data: list[Any], words: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        images_from_json(data, SHAPE)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([], "expected ['N', 4, 3, 1]"),
        ([24], "the shape is [24]"),
        ([0, 4, 3, 1], "N from 1 to 64"),
        ([65, 4, 3, 1], "N from 1 to 64"),
        ([-1, 4, 3, 1], "N from 1 to 64"),
        ([2, 12], "expected"),
        ([2, 3, 4, 1], "expected"),
        ([2, -4, -3, 1], "expected"),
        ([10**30, 4, 3, 1], "N from 1 to 64"),
        ([1] * 1000, "of 1000 dimensions"),
    ],
    ids=str,
)
def test_another_shape_is_refused_and_told_the_right_one(shape: list[int], words: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        check_shape(shape, (4, 3, 1), 64)
    assert words in str(refusal.value)


def test_the_models_own_shape_passes() -> None:
    for count in (1, 64):
        check_shape([count, 4, 3, 1], (4, 3, 1), 64)


@pytest.mark.parametrize("length", ["-1", "6", "1e1", "+2", "", " 2", "2 ", "²", "9" * 5000, "NaN"])
def test_a_length_of_json_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequestError, match="at most the body's 5 bytes"):
        split_body(b"{}abc", length)


def test_a_body_is_split_where_its_json_ends() -> None:
    assert split_body(b"{}abc", "2") == (b"{}", b"abc")
    assert split_body(b"{}", "2") == (b"{}", b"")
    assert split_body(b"{}", None) == (b"{}", b"")
