"""Arrays of work in progress: checkpoints of trainings, traces of certificates, and answers that are compared.

`.scratch/<kind>-<id>-<backend>.safetensors` on the model volume belongs to one run. Later executions of the run read
it, and so do the other backends' runs of the same work. The answers of a run's model to the examples of a split are in
`.scratch/<kind>-<id>-<backend>.answers.safetensors`. A file is replaced atomically. A file that cannot be read is
treated as absent. Before each job, a trainer removes the files of work that has ended.
"""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shared.jobs.run_state import Run
from shared.network.weights import Arrays
from shared.process import write_atomically

WRITE_ATTEMPTS = 3
RETRY_AFTER_S = 0.3
ABANDONED_AFTER_S = 3600.0
"""A temporary file that is older than this was left behind by a process that died while it wrote."""

Content = Literal["", ".answers"]
STATE: Final = ""  # what a run resumes from, or is compared by
ANSWERS: Final = ".answers"  # what a run's model answers to the examples of a split


class Checkpoints:
    """The files of work that has not ended, in the folder `.scratch` of the model volume.

    `StoredCheckpoints` has the same methods for files in an object store.
    """

    def __init__(self, root: Path) -> None:
        """Use the model volume at `root`."""
        self._folder = root / ".scratch"
        self._is_failing = False

    def write(self, run: Run, arrays: Arrays, note: Any, content: Content = STATE) -> None:
        """Replace a run's arrays and the note stored with them. If the disk refuses, it is tried again twice.

        After a write that failed, the next one is tried once only: a disk that stays full must not slow a training.

        Args:
            run: the owner of the file.
            arrays: name -> array.
            note: JSON-able.
            content: which of the run's files.

        Raises:
            OSError: the file cannot be written. An older file stays as it was.
        """
        data = save(arrays, {"note": json.dumps(note, allow_nan=False)})
        attempts = 1 if self._is_failing else WRITE_ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                self._write(run, content, data)
                self._is_failing = False
                return
            except OSError:
                if attempt == attempts:
                    self._is_failing = True
                    raise
                time.sleep(RETRY_AFTER_S)

    def read(self, run: Run, content: Content = STATE) -> tuple[Arrays, Any] | None:
        """Return a run's arrays and their note, or None if the run has no readable file."""
        try:
            with safe_open(self._path(run, content), "numpy") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["note"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def remove(self, run: Run, content: Content = STATE) -> None:
        """Remove a run's file, if there is one. If it cannot be removed, it is removed when its work has ended."""
        with contextlib.suppress(OSError):
            self._path(run, content).unlink()

    def remove_ended(self, is_open: Callable[[str, str], bool]) -> None:
        """Remove the files of work that has ended, and the temporary files of processes that died.

        Args:
            is_open: called with a kind and an id; returns whether that work has not ended.
        """
        for path in self._folder.glob("[!.]*-*-*.safetensors"):
            kind, identity, _ = path.stem.split("-", 2)
            if not is_open(kind, identity):
                with contextlib.suppress(OSError):
                    path.unlink()
        for path in self._folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - ABANDONED_AFTER_S:
                    path.unlink()

    def _write(self, run: Run, content: Content, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(run, content), data)

    def _path(self, run: Run, content: Content) -> Path:
        return self._folder / f"{run.kind}-{run.identity}-{run.backend}{content}.safetensors"
