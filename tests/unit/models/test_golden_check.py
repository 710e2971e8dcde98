"""A model that predicts other probabilities than at its publication is refused."""

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


def manifest_with(golden: list[list[float]] | None) -> Manifest:
    identity = {"format": 1, "name": "m", "backend": "toy", "version": 1, "writer": "w", "files": {}, "digest": ""}
    return Manifest.model_validate({**describe(NETWORK).model_dump(), **identity, "golden": golden})


def compute_golden(seed: int) -> list[list[float]]:
    return golden_check.compute_probabilities(toy, NETWORK, initial_weights(NETWORK, seed))


def serve(seed: int) -> Any:
    return toy.serve(toy.define_network(NETWORK, initial_weights(NETWORK, seed)))


def test_the_published_weights_pass() -> None:
    golden_check.check_probabilities(serve(1), NETWORK.input_shape, manifest_with(compute_golden(1)))


def test_other_weights_are_refused() -> None:
    with pytest.raises(
        CorruptModelError, match="model 'm' version 1 of toy is damaged: it predicts other probabilities"
    ):
        golden_check.check_probabilities(serve(2), NETWORK.input_shape, manifest_with(compute_golden(1)))


def test_probabilities_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(CorruptModelError):
        golden_check.check_probabilities(
            lambda images: np.full((2, 10), np.nan), NETWORK.input_shape, manifest_with(compute_golden(1))
        )


def test_a_manifest_without_golden_predictions_passes() -> None:
    golden_check.check_probabilities(serve(1), NETWORK.input_shape, manifest_with(None))
