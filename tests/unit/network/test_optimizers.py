"""Descriptions of optimisers: defaults, refused values, and the choice between the two kinds."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.errors import InvalidRequestError
from shared.network.optimizers import Adam, Optimizer, Sgd, scheduled_learning_rate

ADAPTER: TypeAdapter[Any] = TypeAdapter(Optimizer)


@pytest.mark.parametrize("description", [{}, {"name": "sgd"}, {"learning_rate": 0.01}])
def test_a_description_without_a_name_is_sgd(description: dict) -> None:
    found = ADAPTER.validate_python(description)
    assert found == Sgd()
    assert (found.learning_rate, found.momentum, found.nesterov, found.weight_decay) == (0.01, 0, False, 0)


def test_a_description_without_a_name_may_have_the_fields_of_sgd() -> None:
    found = ADAPTER.validate_python({"momentum": 0.9, "nesterov": True})
    assert found == Sgd(momentum=0.9, nesterov=True)


def test_the_defaults_of_adam_are_those_of_the_paper() -> None:
    found = ADAPTER.validate_python({"name": "adam"})
    assert found == Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0)


@pytest.mark.parametrize("optimizer", [Sgd(momentum=0.5, nesterov=True), Adam(beta_1=0.0, weight_decay=0.01)])
def test_a_description_can_be_read_back_from_json(optimizer: Sgd | Adam) -> None:
    assert ADAPTER.validate_json(ADAPTER.dump_json(optimizer)) == optimizer
    assert ADAPTER.validate_python(optimizer) == optimizer


@pytest.mark.parametrize(
    "description",
    [
        *({"name": "rmsprop"}, {"name": None}, {"name": "SGD"}, "sgd", 3, []),
        *({"name": "sgd", "beta_1": 0.9}, {"name": "adam", "momentum": 0.9}, {"beta_2": 0.9}, {"lr": 0.1}),
        *({"learning_rate": 0}, {"learning_rate": -1}, {"learning_rate": "fast"}, {"learning_rate": 101}),
        *({"learning_rate": float("inf")}, {"learning_rate": float("nan")}),
        *({"momentum": 1}, {"momentum": -0.1}, {"weight_decay": 1}, {"weight_decay": -1e-9}),
        *({"name": "adam", "beta_1": 1}, {"name": "adam", "epsilon": 0}, {"name": "adam", "epsilon": 2}),
    ],
    ids=str,
)
def test_unknown_names_and_fields_and_numbers_out_of_range_are_refused(description: Any) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(description)


@pytest.mark.parametrize("description", [{"nesterov": True}, {"nesterov": True, "momentum": 0}])
def test_nesterov_without_momentum_is_refused_and_the_error_says_what_to_change(description: dict) -> None:
    with pytest.raises(InvalidRequestError, match="nesterov needs a momentum above 0"):
        ADAPTER.validate_python(description)


def test_a_description_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sgd().momentum = 0.9  # type: ignore[misc]


def test_a_constant_schedule_keeps_the_optimizer_s_rate() -> None:
    assert [scheduled_learning_rate(Sgd(), "constant", epoch, 9) for epoch in (1, 5, 9)] == [0.01] * 3


def test_a_cosine_schedule_begins_with_the_optimizer_s_rate_and_has_half_of_it_in_the_middle() -> None:
    rates = [scheduled_learning_rate(Adam(learning_rate=0.2), "cosine", epoch, 4) for epoch in (1, 2, 3, 4)]
    # (1 + cos(0, 45, 90 and 135 degrees)) / 2 = 1, 0.853553, 0.5 and 0.146447
    assert rates == pytest.approx([0.2, 0.1707107, 0.1, 0.0292893])
    assert scheduled_learning_rate(Adam(learning_rate=0.2), "cosine", 1, 1) == 0.2
