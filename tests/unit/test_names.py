"""Which names of models and datasets are valid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.names import is_name, problem_with_model_name

BOTH = ("tensorflow", "pytorch")


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True))
def test_a_valid_name_is_accepted_unless_it_ends_in_a_backend(name: str) -> None:
    assert is_name(name)
    problem = problem_with_model_name(name, BOTH)
    if name.endswith(("-tensorflow", "-pytorch")):
        assert problem
        assert "must not end" in problem
    else:
        assert problem is None


@pytest.mark.parametrize("name", ["", "-m", "_m", "Model", "a" * 64, "ä", "a b", "../x", "m-pytorch", "x\n"])
def test_an_invalid_name_is_refused(name: str) -> None:
    assert problem_with_model_name(name, BOTH)
