"""Fixtures for the backend suite. TANDEM_TEST_BACKEND names the backend under test.

    TANDEM_TEST_BACKEND=<name> .venv/<name>/bin/python -m pytest tests/backend

No test names a framework, so that every backend has to pass the same suite.
"""

import importlib
import os

import pytest

from shared.backend import Backend
from shared.settings import Settings


def pytest_collect_file() -> None:
    """Skip the whole folder if no backend is named, and print the reason."""
    if not os.environ.get("TANDEM_TEST_BACKEND"):
        pytest.skip("TANDEM_TEST_BACKEND is not set: run tests/backend in a backend's own environment")


@pytest.fixture(scope="session")
def backend() -> Backend:
    """The backend under test. It is configured once, before anything runs, with one thread on the CPU."""
    module = importlib.import_module(f"services.{os.environ['TANDEM_TEST_BACKEND']}.backend")
    assert module.configure(threads=1, device="cpu", seed=0) == "cpu"
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
