"""Arrays of work in progress, on the model volume but beside the models: checkpoints and traces.

`.scratch/<kind>-<id>-<backend>.safetensors` belongs to one run, and is read
by later executions of it, or by the other backends' runs of the same work. A
file is replaced whole; one that cannot be read counts as absent.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shared.jobs.run_state import Run
from shared.network.weights import Arrays
from shared.process import write_atomically


class Checkpoints:
    """The files of runs that have not ended, under `<root>/.scratch`."""

    def __init__(self, root: Path) -> None:
        self._folder = root / ".scratch"

    def write(self, run: Run, arrays: Arrays, note: Any) -> None:
        """Replace a run's arrays, and a JSON-able note with them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(run), save(arrays, {"note": json.dumps(note, allow_nan=False)}))

    def read(self, run: Run) -> tuple[Arrays, Any] | None:
        """A run's arrays and their note, if it has any."""
        try:
            with safe_open(self._path(run), "numpy") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["note"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def remove(self, run: Run) -> None:
        self._path(run).unlink(missing_ok=True)

    def collect(self, is_open: Callable[[str, str], bool]) -> None:
        """Remove the files of work that has ended: `is_open(kind, id)` says whether it has not."""
        for path in self._folder.glob("*-*-*.safetensors"):
            kind, identity, _ = path.stem.split("-", 2)
            if not is_open(kind, identity):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, run: Run) -> Path:
        return self._folder / f"{run.kind}-{run.identity}-{run.backend}.safetensors"
