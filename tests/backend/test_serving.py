"""Serving gives the probabilities of an evaluation, for any number of images and from any thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shared.network.description import PRESETS
from tests.backend.random_examples import random_split, random_weights

# A matrix product with another number of rows may add numbers in another order. That changes a few rounding errors of
# float32, 6e-8 each.
TOLERANCE = 1e-6

NETWORK = PRESETS["article"].network((6, 5, 3), 10)


@pytest.fixture(scope="module")
def model(backend):
    return backend.define_network(NETWORK, random_weights(NETWORK, seed=1))


@pytest.mark.parametrize("preset", PRESETS)
def test_any_preset_is_served_as_it_is_evaluated_one_image_at_a_time_and_in_a_batch(backend, preset):
    network = PRESETS[preset].network((13, 12, 3), 10)
    model, data = backend.define_network(network, random_weights(network, seed=1)), random_split(network, 9, seed=2)
    predict, expected = backend.serve(model), backend.evaluate(model, backend.define_loss(), data).probabilities
    for size in (1, 9):
        found = [predict(data.images[start : start + size]) for start in range(0, 9, size)]
        np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module")
def predict(backend, model):
    return backend.serve(model)


@pytest.fixture(scope="module")
def images():
    return random_split(NETWORK, 64, seed=2).images


@pytest.fixture(scope="module")
def expected(backend, model):
    return backend.evaluate(model, backend.define_loss(), random_split(NETWORK, 64, seed=2)).probabilities


@pytest.mark.parametrize("size", [1, 2, 64])
def test_batches_of_any_size_get_the_probabilities_of_an_evaluation(predict, images, expected, size):
    for start in range(0, 64, size):
        found = predict(images[start : start + size])
        assert (found.dtype, found.shape) == (np.float32, (size, 10))
        np.testing.assert_allclose(found, expected[start : start + size], rtol=0, atol=TOLERANCE)


def test_the_probabilities_of_an_image_sum_to_1(predict, images):
    found = predict(images)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=TOLERANCE)


def test_very_large_logits_give_probabilities(backend):
    weights = {name: 1e6 * array for name, array in random_weights(NETWORK, seed=1).items()}
    found = backend.serve(backend.define_network(NETWORK, weights))(random_split(NETWORK, 64, seed=2).images)
    np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=TOLERANCE)


def test_read_only_images_are_accepted_without_a_warning_and_not_changed(predict, images, expected):
    body = images.tobytes()
    found = predict(np.frombuffer(body, np.uint8).reshape(images.shape))
    assert body == images.tobytes()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_images_may_be_a_view_that_is_not_contiguous(predict, images, expected):
    np.testing.assert_allclose(predict(images[::3]), expected[::3], rtol=0, atol=TOLERANCE)
    columns_first = np.ascontiguousarray(images.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(predict(columns_first), expected, rtol=0, atol=TOLERANCE)


def test_a_result_is_not_overwritten_by_the_next_call(predict, images):
    answer = predict(images[:2])
    kept = answer.copy()
    predict(images[2:4])
    assert (answer == kept).all()


def test_two_threads_may_predict_at_the_same_time(predict, images, expected):
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda index: predict(images[index : index + 1]), [*range(64)] * 4))
    np.testing.assert_allclose(np.concatenate(found), np.tile(expected, (4, 1)), rtol=0, atol=TOLERANCE)


def test_a_model_that_another_thread_loaded_can_be_used(backend, images, expected):
    weights = random_weights(NETWORK, seed=1)
    with ThreadPoolExecutor(1) as thread:
        predict = thread.submit(lambda: backend.serve(backend.define_network(NETWORK, weights))).result()
    np.testing.assert_allclose(predict(images), expected, rtol=0, atol=TOLERANCE)
