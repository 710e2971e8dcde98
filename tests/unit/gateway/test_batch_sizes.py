"""The batch size of a job whose dataset is small."""

import dataclasses

import pytest

from services.gateway.routes.batch_sizes import choose_batch_size
from shared.data.datasets import DIGITS
from shared.errors import InvalidRequestError

SMALL = dataclasses.replace(DIGITS, name="small", sizes={"train": 10, "test": 2})


@pytest.mark.parametrize(("asked", "is_explicit"), [(10, False), (10, True), (1, True)])
def test_a_batch_size_that_the_dataset_has_is_kept(asked: int, is_explicit: bool) -> None:
    assert choose_batch_size(asked, is_explicit, SMALL) == (asked, [])


def test_the_default_is_lowered_to_the_number_of_pictures_and_said() -> None:
    batch_size, warnings = choose_batch_size(64, False, SMALL)
    assert batch_size == 10
    assert warnings == ["batch_size is 10 instead of 64: 'small' has 10 training pictures"]


def test_a_batch_size_that_the_client_chose_is_refused_if_it_is_too_large() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"batch_size 11 .* 10 training pictures of 'small': choose 10 or less"
    ):
        choose_batch_size(11, True, SMALL)
