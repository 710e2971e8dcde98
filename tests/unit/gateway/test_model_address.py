"""A title means one model: all backends' at once, or one backend's."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.prediction.model_address import ModelAddress, parse_title
from shared.names import problem_with_model_name

BACKENDS = ("tensorflow", "pytorch")


@given(st.from_regex("[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True))
def test_every_name_that_may_be_given_is_found_again_alone_and_with_each_backend(name: str) -> None:
    if problem_with_model_name(name, BACKENDS):
        return
    assert parse_title(name, BACKENDS) == (name, BACKENDS)
    for backend in BACKENDS:
        assert parse_title(f"{name}-{backend}", BACKENDS) == (name, (backend,))


def test_only_the_end_of_a_title_names_a_backend() -> None:
    assert parse_title("pytorch-digits", BACKENDS) == ("pytorch-digits", BACKENDS)
    assert parse_title("x-jax", BACKENDS) == ("x-jax", BACKENDS)
    assert parse_title("x-pytorch-tensorflow", BACKENDS) == ("x-pytorch", ("tensorflow",))


def test_one_backends_model_has_one_output_and_all_backends_one_each() -> None:
    one = ModelAddress("x-pytorch", "x", ("pytorch",), 1, (8, 8, 1), 10)
    assert one.outputs == {"probabilities": "pytorch"}
    assert ModelAddress("x", "x", BACKENDS, 1, (8, 8, 1), 10).outputs == {
        "tensorflow": "tensorflow",
        "pytorch": "pytorch",
    }
    assert ModelAddress("x", "x", ("pytorch",), 1, (8, 8, 1), 10).outputs == {"pytorch": "pytorch"}
