"""The starter model is small, and reads forms of digits that MNIST lacks. NumPy computes it: no backend takes part."""

import numpy as np
import pytest

from benchmarks.handwriting import FORMS, CheckSet, draw_form, prepare
from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER
from shared.network.reference import forward
from shared.network.weights import from_bytes

MAX_BYTES = 1_000_000
PICTURES_PER_FORM = 6
MIN_CORRECT = 5
DESCRIPTION = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())


def test_the_weights_have_at_most_1_mb() -> None:
    assert (STARTER_FOLDER / WEIGHTS).stat().st_size <= MAX_BYTES


def test_the_model_was_right_for_99_4_percent_of_mnist_s_test_split() -> None:
    assert DESCRIPTION.metrics.test_accuracy >= 0.994


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("pen", [0.03, 0.1, 0.16], ids=["thin", "medium", "thick"])
def test_a_drawn_digit_of_any_form_is_read(name: str, pen: float) -> None:
    label, strokes = FORMS[name]
    random = np.random.Generator(np.random.PCG64(99))
    pictures = [draw_form(strokes, random, pen) for _ in range(PICTURES_PER_FORM)]
    images = prepare(CheckSet(name, pictures, [label] * PICTURES_PER_FORM))
    weights = from_bytes((STARTER_FOLDER / WEIGHTS).read_bytes(), DESCRIPTION.network)
    found = forward(DESCRIPTION.network, weights, images, training=False)[-1].argmax(1)
    assert (found == label).sum() >= MIN_CORRECT, found
