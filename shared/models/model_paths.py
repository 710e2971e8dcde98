"""Paths of the model volume: `{root}/{name}/{backend}/{version}/{file}`."""

import re
import uuid
from functools import lru_cache
from pathlib import Path

from shared.errors import NotFoundError
from shared.models.cached_reads import MAX_LISTINGS
from shared.names import NAME

VersionOrDraft = int | str
"""A version's number; or the name of a draft's folder. A predictor loads a draft by name before it is published."""

DRAFT_PREFIX = ".tmp-"
_DRAFT = re.compile(r"\.tmp-[0-9a-f]{32}")


@lru_cache(maxsize=MAX_LISTINGS)
def path_of(
    root: Path, name: str, backend: str | None = None, version: VersionOrDraft | None = None, file: str = ""
) -> Path:
    """Return the path of the folder of a name, of a backend or of a model, or of a file of a model.

    The result is cached: for a prediction, checking and joining the names takes longer than asking the disk.

    Raises:
        NotFoundError: the name of the model, of the backend or of the draft is not a valid name.
    """
    is_version = version is None or isinstance(version, int) or _DRAFT.fullmatch(version)
    if not (NAME.fullmatch(name) and (backend is None or NAME.fullmatch(backend)) and is_version):
        raise NotFoundError(f"there is no model {name[:80]!r}" + (f" of {backend[:80]!r}" if backend else ""))
    if backend is None:
        return root / name
    return root / name / backend if version is None else root / name / backend / str(version) / file


def new_draft_name() -> str:
    """Return the name of a new draft's folder."""
    return f"{DRAFT_PREFIX}{uuid.uuid4().hex}"
