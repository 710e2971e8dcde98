"""A model says again what it said when it was published, or does not serve."""

from typing import Any

import numpy as np
import pytest

from shared.errors import CorruptModelError
from shared.models import golden_check
from shared.models.manifest import Manifest
from shared.network.description import PRESETS
from shared.network.weights import initial_weights
from tests.toy import backend as toy
from tests.unit.models.descriptions import describe

NETWORK = PRESETS["article"].network((8, 8, 1), 10)


def manifest(golden: list[list[float]] | None) -> Manifest:
    identity = {"format": 1, "name": "m", "backend": "toy", "version": 1, "writer": "w", "files": {}, "digest": ""}
    return Manifest.model_validate({**describe(NETWORK).model_dump(), **identity, "golden": golden})


def golden(seed: int) -> list[list[float]]:
    return golden_check.answer(toy, NETWORK, initial_weights(NETWORK, seed))


def serve(seed: int) -> Any:
    return toy.serve(toy.define_network(NETWORK, initial_weights(NETWORK, seed)))


def test_the_same_weights_answer_alike() -> None:
    golden_check.check(serve(1), NETWORK.input_shape, manifest(golden(1)))


def test_other_weights_do_not() -> None:
    with pytest.raises(CorruptModelError, match="m 1 answers otherwise"):
        golden_check.check(serve(2), NETWORK.input_shape, manifest(golden(1)))


def test_an_answer_that_is_no_number_is_no_answer() -> None:
    with pytest.raises(CorruptModelError):
        golden_check.check(lambda images: np.full((2, 10), np.nan), NETWORK.input_shape, manifest(golden(1)))


def test_a_model_from_before_golden_predictions_is_only_warmed() -> None:
    golden_check.check(serve(1), NETWORK.input_shape, manifest(None))
