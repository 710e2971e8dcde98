"""TF32 is off unless it is asked for, also after an export, and a GPU repeats its results."""

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


def assert_tf32(is_allowed: bool) -> None:
    """Assert that both kinds of PyTorch's settings say whether TF32 is allowed. Reading those that differ raises."""
    precision = "tf32" if is_allowed else "ieee"
    assert torch.backends.cuda.matmul.allow_tf32 == is_allowed
    assert torch.backends.cudnn.allow_tf32 == is_allowed
    assert torch.backends.cuda.matmul.fp32_precision == precision
    assert torch.backends.cudnn.conv.fp32_precision == precision
    assert torch.backends.cudnn.rnn.fp32_precision == precision


@pytest.mark.parametrize("is_allowed", [False, True])
def test_tf32_is_set_for_products_and_convolutions_and_stays_after_an_export(restored: None, is_allowed: bool) -> None:
    set_tf32(not is_allowed)
    set_tf32(is_allowed)
    assert_tf32(is_allowed)
    # An export turns cuDNN off for a while. It reads and restores its settings.
    torch.export.export(torch.nn.Conv2d(1, 2, 3), (torch.zeros(1, 1, 5, 5),))
    assert_tf32(is_allowed)


def test_a_configured_gpu_is_exact_and_repeats_its_results(backend: Backend, device: str) -> None:
    if device != "cuda":
        pytest.skip("TANDEM_TEST_DEVICE is not cuda")
    assert_tf32(False)
    assert torch.backends.cudnn.deterministic
