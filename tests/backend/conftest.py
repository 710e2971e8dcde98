"""Fixtures for the backend suite. TANDEM_TEST_BACKEND names the backend under test.

    TANDEM_TEST_BACKEND=<name> .venv/<name>/bin/python -m pytest tests/backend

No test names a framework, so that every backend has to pass the same suite. The only exceptions are the folders with a
backend's name: they test what only that backend has, and are skipped for the others.

TANDEM_TEST_DEVICE is the device, `cpu` by default. With `cuda` the same tolerances hold: TF32 is off, and float64 and
float32 are rounded as on a CPU. Only the order of sums differs, which the tolerances allow for.
"""

import importlib
import os
from pathlib import Path

import pytest

from shared.backend import Backend
from shared.settings import Settings

DEVICE = os.environ.get("TANDEM_TEST_DEVICE") or "cpu"


def pytest_collect_file() -> None:
    """Skip the whole folder if no backend is named, and print the reason."""
    if not os.environ.get("TANDEM_TEST_BACKEND"):
        pytest.skip("TANDEM_TEST_BACKEND is not set: run tests/backend in a backend's own environment")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the folder of another backend, whose framework this environment does not have."""
    own = Path(__file__).parent / os.environ.get("TANDEM_TEST_BACKEND", "")
    is_folder_of_a_backend = collection_path.is_dir() and collection_path.parent == own.parent
    return True if is_folder_of_a_backend and collection_path != own else None


@pytest.fixture(scope="session")
def device() -> str:
    """The device of the tests: cpu or cuda."""
    return DEVICE


@pytest.fixture(scope="session")
def backend(device: str) -> Backend:
    """The backend under test. It is configured once, before anything runs, with one thread."""
    module = importlib.import_module(f"services.{os.environ['TANDEM_TEST_BACKEND']}.backend")
    assert module.configure(threads=1, device=device, seed=0) == device
    return module


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a temporary cache. Datasets come from TANDEM_DATA_DIR if it is set."""
    return Settings.from_env(
        {
            "TANDEM_STATE_DIR": str(tmp_path_factory.mktemp("state")),
            "TANDEM_DATA_DIR": os.environ.get("TANDEM_DATA_DIR", ""),
        }
    )
