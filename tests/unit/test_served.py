"""A title means one model: all backends' at once, or one backend's."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.served import Served, parse
from shared.errors import InvalidRequestError
from shared.store import check_name

BACKENDS = ("tensorflow", "pytorch")


@given(st.from_regex("[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True))
def test_every_name_that_may_be_given_is_found_again_alone_and_with_each_backend(name: str) -> None:
    try:
        check_name(name, BACKENDS)
    except InvalidRequestError:
        return
    assert parse(name, BACKENDS) == (name, BACKENDS)
    for backend in BACKENDS:
        assert parse(f"{name}-{backend}", BACKENDS) == (name, (backend,))


def test_only_the_end_of_a_title_names_a_backend() -> None:
    assert parse("pytorch-digits", BACKENDS) == ("pytorch-digits", BACKENDS)
    assert parse("x-jax", BACKENDS) == ("x-jax", BACKENDS)
    assert parse("x-pytorch-tensorflow", BACKENDS) == ("x-pytorch", ("tensorflow",))


def test_one_backends_model_has_one_output_and_all_backends_one_each() -> None:
    one = Served("x-pytorch", "x", ("pytorch",), 1, (8, 8, 1), 10)
    assert one.outputs == {"probabilities": "pytorch"}
    assert Served("x", "x", BACKENDS, 1, (8, 8, 1), 10).outputs == {"tensorflow": "tensorflow", "pytorch": "pytorch"}
    assert Served("x", "x", ("pytorch",), 1, (8, 8, 1), 10).outputs == {"pytorch": "pytorch"}
