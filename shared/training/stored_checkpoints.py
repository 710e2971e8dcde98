"""Checkpoints in an object store, so that a trainer on another machine can go on with a run.

scratch/<kind>-<id>-<backend>.safetensors     as `checkpoints.py` names the files
"""

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load

from shared.jobs.executions import JOB_ID
from shared.jobs.run_state import Run
from shared.network.weights import Arrays
from shared.object_store import ObjectStore, cache_folder, open_object_store
from shared.settings import Settings
from shared.training.checkpoints import ANSWERS, STATE, Checkpoints, Content

FOLDER = "scratch"
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header

_FILE = re.compile(rf"{FOLDER}/(?P<job>{JOB_ID.pattern})({re.escape(ANSWERS)})?\.safetensors")


class StoredCheckpoints(Checkpoints):
    """The files of work that has not ended, in an object store. See `Checkpoints` for the methods."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Use a store. Nothing connects before the first use."""
        super().__init__(cache_folder(settings.model_dir, url))
        self._store: ObjectStore = open_object_store(url)

    def read(self, run: Run, content: Content = STATE) -> tuple[Arrays, Any] | None:
        """Return a run's arrays and their note, or None if the run has no readable file.

        Raises:
            ObjectStoreError: the store does not answer. The run would otherwise lose its epochs.
        """
        try:
            data = self._store.get(self._key(run, content))
            end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
            return load(data), json.loads(json.loads(data[LENGTH_BYTES:end])["__metadata__"]["note"])
        except (FileNotFoundError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def remove(self, run: Run, content: Content = STATE) -> None:
        """Remove a run's file, if there is one. If it cannot be removed, it is removed when its work has ended."""
        with contextlib.suppress(OSError):
            self._store.delete(self._key(run, content))

    def remove_ended(self, is_open: Callable[[str, str], bool]) -> None:
        """Remove the files of work that has ended. If the store does not answer, the next job does it."""
        with contextlib.suppress(OSError):
            for found in filter(None, [_FILE.fullmatch(found.key) for found in self._store.list(FOLDER)]):
                kind, identity, _ = found["job"].split("-", 2)
                if not is_open(kind, identity):
                    self._store.delete(found.string)

    def _write(self, run: Run, content: Content, data: bytes) -> None:
        self._store.put(self._key(run, content), data)

    def _key(self, run: Run, content: Content) -> str:
        return f"{FOLDER}/{self._path(run, content).name}"


def open_checkpoints(settings: Settings) -> Checkpoints:
    """Return the checkpoints in an object store if TANDEM_MODEL_STORE names one, else those on the model volume."""
    url = settings.model_store
    return Checkpoints(settings.model_dir) if url is None else StoredCheckpoints(settings, url)
