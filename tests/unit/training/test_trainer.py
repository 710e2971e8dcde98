"""A trainer that starts: it refuses an object store that it cannot rely on."""

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.models.store_proxy import StoreProxy

START = "from shared.training import trainer; trainer.main('toy', lambda: print('the backend is loaded'))"


def test_a_trainer_does_not_start_with_a_store_that_ignores_conditions(
    tmp_path: Path, store_url: str, proxy: StoreProxy
) -> None:
    proxy.condition = "ignored"
    environ = {**os.environ, "TANDEM_STATE_DIR": str(tmp_path), "TANDEM_MODEL_STORE": store_url}
    ended = subprocess.run(
        [sys.executable, "-c", START], env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 1
    assert "use a store with conditional writes, see docs/object-store.md" in ended.stderr
    assert "the backend is loaded" not in ended.stdout
