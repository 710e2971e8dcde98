"""The model volume: `{name}/{backend}/{version}/`, immutable once it is there.

A model is written beside its place, synced, and renamed into it: a reader
sees all of it or nothing, and a second publication of the same version
fails, because a folder that is not empty cannot be renamed over. Only
trainers write; everybody else mounts the volume read-only.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError
from shared.models.manifest import FORMAT, FileSum, Manifest, ModelDescription, digest_of
from shared.names import NAME
from shared.network.weights import Weights, from_bytes, to_bytes
from shared.process import sync_folder, write_atomically

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
ABANDONED_AFTER_S = 3600.0
SETTLED_NS = 2_000_000_000

_DRAFT = re.compile(r"\.tmp-[0-9a-f]{32}")

VersionOrDraft = int | str  # a number; or a draft's name, before it has one


@dataclass(frozen=True)
class VerifiedModel:
    """A model whose files all match its manifest."""

    manifest: Manifest
    weights: Weights


class ModelRegistry:
    """The model volume under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str, backend: str, version: VersionOrDraft) -> Path:
        """Where a model lies; a name that is none can lead nowhere else on the disk."""
        return _place(self.root, name, backend, version)

    def events(self, name: str, backend: str, version: int) -> Path:
        """Where a run writes for TensorBoard, beside the models; a version's backends stand together."""
        return self.root / ".tensorboard" / name / str(version) / backend

    def publish(
        self,
        name: str,
        backend: str,
        version: int,
        description: ModelDescription,
        weights: Weights,
        writer: str,
        before: Callable[[str], None] | None = None,
    ) -> None:
        """Write a model whole, or not at all.

        Args:
            description: what the publisher knows of the model; the identity and the files' sums are added.
            writer: the id of the job that writes, kept in the manifest.
            before: called with the draft, whole and not yet seen by anybody; what it raises keeps it so.

        Raises:
            AlreadyPublishedError: another writer published this version.
        """
        place = self.path(name, backend, version)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / f".tmp-{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            data = to_bytes(weights)
            stored: dict[str, Any] = {
                "format": FORMAT,
                "name": name,
                "backend": backend,
                "version": version,
                "writer": writer,
                **description.to_json(),
                "files": {WEIGHTS: _sum_of(data).model_dump()},
            }
            stored["digest"] = digest_of(stored)
            write_atomically(draft / WEIGHTS, data, sync=True)
            write_atomically(draft / MANIFEST, json.dumps(stored, indent=1, allow_nan=False).encode(), sync=True)
            if before:
                before(draft.name)
            draft.rename(place)
            sync_folder(place.parent)
        except OSError:
            if not place.exists():
                raise
            if self.manifest(name, backend, version).writer != writer:
                raise AlreadyPublishedError(f"{name} {backend} version {version} is already published") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def names(self) -> list[str]:
        """Models of which some backend has a version."""
        return [name for name in _folders(self.root) if self.backends(name)]

    def versions(self, name: str, backend: str) -> list[int]:
        """Published versions, oldest first; none for a name that is none."""
        with contextlib.suppress(NotFoundError, FileNotFoundError, NotADirectoryError):
            place = _place(self.root, name, backend)
            changed = place.stat().st_mtime_ns
            # While a folder is young, it may change again and still bear this time.
            read = _versions if time.time_ns() - changed > SETTLED_NS else _versions.__wrapped__
            return list(read(place, changed))
        return []

    def backends(self, name: str) -> list[str]:
        if not NAME.fullmatch(name):
            return []
        return [backend for backend in _folders(self.root / name) if self.versions(name, backend)]

    def resolve(self, name: str, backends: tuple[str, ...], version: int | None = None) -> int:
        """The version asked for, else the newest that all the backends have, every file as it was published.

        Raises:
            NotFoundError: there is none; the message says which models are ready.
        """
        common = set.intersection(*(set(self.versions(name, backend)) for backend in backends))
        if version in common:
            return version  # type: ignore[return-value]
        if version is None and common:
            newest = sorted(common, reverse=True)
            return next((found for found in newest if self._is_whole(name, backends, found)), newest[0])
        wanted = f"model {name[:80]!r}" + (f" version {version}" if version is not None else "")
        ready = ", ".join(self.names()) or "none yet"
        raise NotFoundError(
            f"{wanted} is not published by {' and '.join(backends)}; ready: {ready}. Train one with POST /v1/trainings"
        )

    def _is_whole(self, name: str, backends: tuple[str, ...], version: int) -> bool:
        try:
            for backend in backends:
                path = _place(self.root, name, backend, version, WEIGHTS)
                if _sum(path, _identity(path)) != self.manifest(name, backend, version).files[WEIGHTS]:
                    return False
        except (OSError, NotFoundError, CorruptModelError):
            return False
        return True

    def identity(self, name: str, backend: str, version: VersionOrDraft) -> tuple[int, ...]:
        """What a model keeps when its draft becomes a version, and no other model has.

        Raises:
            NotFoundError: no such model.
        """
        try:
            return _identity(_place(self.root, name, backend, version, MANIFEST))
        except FileNotFoundError:
            raise NotFoundError(f"model {name!r} has no version {version} of {backend}") from None

    def manifest(self, name: str, backend: str, version: VersionOrDraft) -> Manifest:
        """The manifest alone.

        Raises:
            NotFoundError: no such model.
            CorruptModelError: it is not this model's manifest as it was published.
        """
        path = _place(self.root, name, backend, version, MANIFEST)
        try:
            manifest = _manifest(path, self.identity(name, backend, version))
        except (OSError, ValueError) as error:
            raise CorruptModelError(f"{path}: {error}") from None
        named = manifest.name, manifest.backend, manifest.version
        if named != (name, backend, version if isinstance(version, int) else manifest.version):
            raise CorruptModelError(f"{path}: the manifest of another model")
        return manifest

    def verify(self, name: str, backend: str, version: VersionOrDraft) -> VerifiedModel:
        """Read a model and hold every byte of it against its manifest.

        Raises:
            NotFoundError: no such model.
            CorruptModelError: anything differs from what was published.
        """
        manifest = self.manifest(name, backend, version)
        return VerifiedModel(manifest, from_bytes(self.weights_file(name, backend, version), manifest.network))

    def weights_file(self, name: str, backend: str, version: VersionOrDraft) -> bytes:
        """The bytes of a model's safetensors file as they were published; see `verify` for the errors."""
        manifest = self.manifest(name, backend, version)
        try:
            data = (self.path(name, backend, version) / WEIGHTS).read_bytes()
        except OSError as error:
            raise CorruptModelError(f"{name} {backend} {version}: {error}") from None
        if _sum_of(data) != manifest.files[WEIGHTS]:
            raise CorruptModelError(f"{name} {backend} {version}: {WEIGHTS} is not what was published")
        return data

    def delete(self, name: str, backend: str, version: int) -> None:
        """Remove a model and its events, if they are there: whole to every reader until it is gone to all."""
        place = self.path(name, backend, version)
        shutil.rmtree(self.events(name, backend, version), ignore_errors=True)
        going = place.parent / f".tmp-{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            place.rename(going)
            sync_folder(place.parent)
            shutil.rmtree(going)

    def collect(self) -> int:
        """Remove what publishers that died left behind; the number of folders removed."""
        old = time.time() - ABANDONED_AFTER_S
        drafts = [draft for draft in self.root.glob("*/*/.tmp-*") if draft.stat().st_mtime < old]
        for draft in drafts:
            shutil.rmtree(draft, ignore_errors=True)
        return len(drafts)


def _identity(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _sum_of(data: bytes) -> FileSum:
    return FileSum(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


@lru_cache(maxsize=1024)
def _place(root: Path, name: str, backend: str, version: VersionOrDraft | None = None, file: str = "") -> Path:
    """A folder or a file of the volume: to check and join names costs a prediction more than asking the disk."""
    is_version = version is None or isinstance(version, int) or _DRAFT.fullmatch(version)
    if not (NAME.fullmatch(name) and NAME.fullmatch(backend) and is_version):
        raise NotFoundError(f"there is no model {name[:80]!r} of {backend[:80]!r}")
    return root / name / backend if version is None else root / name / backend / str(version) / file


@lru_cache(maxsize=1024)
def _versions(place: Path, _changed: int) -> tuple[int, ...]:
    """The versions in a folder, oldest first; read again only when something came or went."""
    return tuple(sorted(int(entry) for entry in _folders(place) if entry.isdecimal()))


@lru_cache(maxsize=256)
def _sum(path: Path, _file: tuple[int, ...]) -> FileSum:
    """A file's sum; taken again only when it is another file."""
    return _sum_of(path.read_bytes())


@lru_cache(maxsize=256)
def _manifest(path: Path, _file: tuple[int, ...]) -> Manifest:
    """A manifest that is as it was published; read again only when it is another file."""
    return Manifest.parse(path.read_bytes())


def _folders(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
