"""The suite's one parameter: the backend under test, from TANDEM_TEST_BACKEND.

    TANDEM_TEST_BACKEND=<name> .venv/<name>/bin/python -m pytest tests/backend

No test names a framework, so that a new backend is held to the same suite.
"""

import importlib
import os

import pytest

from shared.backend import Backend
from shared.settings import Settings


def pytest_collect_file() -> None:
    """Without a backend the whole folder is skipped, in one line that says why."""
    if not os.environ.get("TANDEM_TEST_BACKEND"):
        pytest.skip("TANDEM_TEST_BACKEND is not set: run tests/backend in a backend's own environment")


@pytest.fixture(scope="session")
def backend() -> Backend:
    """The backend, configured once and before anything runs: one thread on the CPU."""
    module = importlib.import_module(f"services.{os.environ['TANDEM_TEST_BACKEND']}.backend")
    assert module.configure(threads=1, device="cpu", seed=0) == "cpu"
    return module


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A cache of our own; the datasets come from TANDEM_DATA_DIR, where there is one."""
    return Settings.from_env(
        {
            "TANDEM_STATE_DIR": str(tmp_path_factory.mktemp("state")),
            "TANDEM_DATA_DIR": os.environ.get("TANDEM_DATA_DIR", ""),
        }
    )
