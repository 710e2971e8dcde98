"""The copies of models that a machine has of those in an object store. They are laid out as the model volume."""

import contextlib
import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from shared.models.cached_reads import FileIdentity, identify_file, list_folders
from shared.models.manifest import Manifest
from shared.models.model_paths import new_draft_name
from shared.models.registry import MANIFEST
from shared.models.version_listing import Models
from shared.names import NAME


def list_copies(cache: Path) -> Models:
    """Return the models in a folder of copies. Whether they are still published is not known."""
    return {
        name: {
            backend: dict.fromkeys(map(int, filter(str.isdecimal, list_folders(cache / name / backend))), "")
            for backend in list_folders(cache / name)
            if NAME.fullmatch(backend)
        }
        for name in list_folders(cache)
        if NAME.fullmatch(name)
    }


def sort_versions(found: Mapping[str, Mapping[int, str]]) -> dict[str, list[int]]:
    """Return backend -> versions, sorted."""
    return {backend: sorted(found[backend]) for backend in sorted(found)}


@lru_cache(maxsize=1024)
def _digest_of_manifest(path: Path, _identity: FileIdentity) -> str | None:
    try:
        return Manifest.parse(path.read_bytes()).digest
    except (OSError, ValueError):
        return None


def digest_in(folder: Path) -> str | None:
    """Return the digest of the manifest in a folder, or None if there is no intact one."""
    try:
        return _digest_of_manifest(folder / MANIFEST, identify_file(folder / MANIFEST))
    except OSError:
        return None


def replace_folder(draft: Path, place: Path) -> None:
    """Rename a folder to `place`, where another one may be. Other processes may do the same at the same time."""
    hidden = place.parent / new_draft_name()
    with contextlib.suppress(OSError):
        place.rename(hidden)
    with contextlib.suppress(OSError):
        draft.rename(place)
    shutil.rmtree(hidden, ignore_errors=True)
