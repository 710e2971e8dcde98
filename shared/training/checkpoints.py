"""Arrays of work in progress: checkpoints of trainings and traces of certificates.

`.scratch/<kind>-<id>-<backend>.safetensors` on the model volume belongs to one run. Later executions of the run read
it, and so do the other backends' runs of the same work. A file is replaced atomically. A file that cannot be read is
treated as absent. Before each job, a trainer removes the files of work that has ended.
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
    """The files of work that has not ended, in the folder `.scratch` of the model volume."""

    def __init__(self, root: Path) -> None:
        """Use the model volume at `root`."""
        self._folder = root / ".scratch"

    def write(self, run: Run, arrays: Arrays, note: Any) -> None:
        """Replace a run's arrays and the note stored with them.

        Args:
            run: the owner of the file.
            arrays: name -> array.
            note: JSON-able.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(run), save(arrays, {"note": json.dumps(note, allow_nan=False)}))

    def read(self, run: Run) -> tuple[Arrays, Any] | None:
        """Return a run's arrays and their note, or None if the run has no readable file."""
        try:
            with safe_open(self._path(run), "numpy") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["note"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def remove(self, run: Run) -> None:
        """Remove a run's file, if there is one."""
        self._path(run).unlink(missing_ok=True)

    def remove_ended(self, is_open: Callable[[str, str], bool]) -> None:
        """Remove the files of work that has ended.

        Args:
            is_open: called with a kind and an id; returns whether that work has not ended.
        """
        for path in self._folder.glob("*-*-*.safetensors"):
            kind, identity, _ = path.stem.split("-", 2)
            if not is_open(kind, identity):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, run: Run) -> Path:
        return self._folder / f"{run.kind}-{run.identity}-{run.backend}.safetensors"
