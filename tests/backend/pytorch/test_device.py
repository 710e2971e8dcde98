"""TF32 is off unless it is asked for, and a GPU repeats its results."""

from collections.abc import Iterator

import pytest
import torch

from services.pytorch.device import set_tf32
from shared.backend import Backend


@pytest.fixture
def restored(backend: Backend) -> Iterator[None]:
    """Turn TF32 off again after the test."""
    yield
    set_tf32(False)


@pytest.mark.parametrize(("is_allowed", "precision"), [(False, "ieee"), (True, "tf32")])
def test_tf32_is_set_for_products_and_convolutions(restored: None, is_allowed: bool, precision: str) -> None:
    set_tf32(is_allowed)
    assert torch.backends.cuda.matmul.fp32_precision == precision
    assert torch.backends.cudnn.conv.fp32_precision == precision


def test_a_configured_gpu_is_exact_and_repeats_its_results(backend: Backend, device: str) -> None:
    if device != "cuda":
        pytest.skip("TANDEM_TEST_DEVICE is not cuda")
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cudnn.deterministic
