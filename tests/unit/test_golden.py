"""A model says again what it said when it was published, or does not serve."""

from typing import Any

import numpy as np
import pytest

from shared import golden
from shared.errors import CorruptModelError
from shared.network import PRESETS
from shared.weights import initial_weights
from tests.toy import backend as toy

NETWORK = PRESETS["article"].network((8, 8, 1), 10)


def manifest(seed: int) -> dict[str, Any]:
    return {"name": "m", "version": 1, "golden": golden.answer(toy, NETWORK, initial_weights(NETWORK, seed))}


def serve(seed: int) -> Any:
    return toy.serve(toy.define_network(NETWORK, initial_weights(NETWORK, seed)))


def test_the_same_weights_answer_alike() -> None:
    golden.check(serve(1), NETWORK.input_shape, manifest(1))


def test_other_weights_do_not() -> None:
    with pytest.raises(CorruptModelError, match="m 1 answers otherwise"):
        golden.check(serve(2), NETWORK.input_shape, manifest(1))


def test_an_answer_that_is_no_number_is_no_answer() -> None:
    with pytest.raises(CorruptModelError):
        golden.check(lambda images: np.full((2, 10), np.nan), NETWORK.input_shape, manifest(1))


def test_a_model_from_before_golden_predictions_is_only_warmed() -> None:
    golden.check(serve(1), NETWORK.input_shape, {"name": "m", "version": 1})
