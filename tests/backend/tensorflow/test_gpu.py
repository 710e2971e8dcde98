"""A GPU's memory is shared, TF32 is off unless it is asked for, and a trainer on the CPU leaves the GPU alone."""

from collections.abc import Iterator

import pytest
import tensorflow as tf

from services.tensorflow.gpu import set_tf32
from shared.backend import Backend


@pytest.fixture
def restored(backend: Backend) -> Iterator[None]:
    """Turn TF32 off again after the test."""
    yield
    set_tf32(False)


@pytest.mark.parametrize("is_allowed", [False, True])
def test_tf32_is_set(restored: None, is_allowed: bool) -> None:
    set_tf32(is_allowed)
    assert tf.config.experimental.tensor_float_32_execution_enabled() == is_allowed


def test_a_process_on_the_cpu_sees_no_gpu(backend: Backend, device: str) -> None:
    if device != "cpu":
        pytest.skip("TANDEM_TEST_DEVICE is not cpu")
    assert tf.config.get_visible_devices("GPU") == []


def test_a_configured_gpu_gives_memory_as_it_is_needed(backend: Backend, device: str) -> None:
    if device != "cuda":
        pytest.skip("TANDEM_TEST_DEVICE is not cuda")
    gpus = tf.config.list_physical_devices("GPU")
    assert gpus
    assert all(tf.config.experimental.get_memory_growth(gpu) for gpu in gpus)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
