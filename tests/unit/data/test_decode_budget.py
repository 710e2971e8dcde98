"""Pixels that wait for decoding are counted for a request, for a client and for all."""

import pytest

from shared.data.decode_budget import SMALL_PIXELS, DecodeBudget
from shared.errors import InvalidImageError, UnavailableError
from shared.web.process_slots import ProcessSlots
from shared.web.shared_figures import SharedUse
from tests.unit.web.forked_process import process_of

PIXELS = 10 * SMALL_PIXELS


def test_a_request_with_too_many_pixels_is_told_what_to_change() -> None:
    budget = DecodeBudget(PIXELS, PIXELS, PIXELS)
    with (
        pytest.raises(InvalidImageError, match="send smaller pictures, or several requests"),
        budget.reserve("a", PIXELS + 1),
    ):
        pass


def test_a_client_and_all_clients_have_shares_that_are_given_back() -> None:
    budget = DecodeBudget(PIXELS, 2 * PIXELS, 3 * PIXELS)
    with budget.reserve("a", PIXELS), budget.reserve("a", PIXELS):
        for pixels in (PIXELS, SMALL_PIXELS):
            with pytest.raises(UnavailableError, match="of your pictures"), budget.reserve("a", pixels):
                pass
        with budget.reserve("b", PIXELS):
            with pytest.raises(UnavailableError, match="too many large pictures"), budget.reserve("c", PIXELS):
                pass
            with budget.reserve("c", SMALL_PIXELS):
                pass
    with budget.reserve("a", PIXELS), budget.reserve("a", PIXELS), budget.reserve("b", PIXELS):
        pass


def test_large_pictures_in_another_process_count() -> None:
    slots = ProcessSlots(2)
    slots.occupy(0, 1)
    slots.enter(0)
    budget = DecodeBudget(PIXELS, 2 * PIXELS, 3 * PIXELS, SharedUse(slots))
    elsewhere = budget.reserve("a", PIXELS)
    with process_of(slots, elsewhere.__enter__), budget.reserve("a", PIXELS):
        with pytest.raises(UnavailableError, match="of your pictures"), budget.reserve("a", PIXELS):
            pass
        with (
            budget.reserve("b", PIXELS),
            pytest.raises(UnavailableError, match="too many large pictures"),
            budget.reserve("c", PIXELS),
        ):
            pass
    with budget.reserve("a", PIXELS), budget.reserve("a", PIXELS), budget.reserve("b", PIXELS):
        pass
