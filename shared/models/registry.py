"""The model registry: reads and writes the model volume, `{root}/{name}/{backend}/{version}/`.

A published model never changes. It is written to a temporary folder (a draft), synced to the disk, and renamed into
place. A reader therefore sees a complete model or none. A second publication of the same version fails, because a
folder that is not empty cannot be replaced by a rename. Only trainers write; every other service mounts the volume
read-only.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError, UnavailableError
from shared.models import cached_reads
from shared.models.cached_reads import FileIdentity, checksum, holds, identify_file, list_folders
from shared.models.manifest import Manifest, ModelDescription, encode_manifest
from shared.models.missing_models import explain_missing
from shared.models.model_paths import VersionOrDraft, new_draft_name, path_of
from shared.names import NAME
from shared.network.weights import Weights, from_bytes, to_bytes
from shared.process import sync_folder, write_atomically

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
ABANDONED_AFTER_S = 3600.0
"""Publishing a model takes seconds. A draft that is older than an hour was left behind by a process that died."""

VISIBLE_AFTER_S = 0.1
"""Readers may keep what they know of the versions for so many seconds. Publishing and deleting a model take at least as
long, so that every reader knows of it when the training or the deletion has succeeded."""


@dataclass(frozen=True)
class VerifiedModel:
    """A model whose files all match its manifest."""

    manifest: Manifest
    weights: Weights


class ModelRegistry:
    """The models under a folder, the model volume.

    `StoredModelRegistry` has the same methods for models in an object store.

    Attributes:
        root: the folder. It need not exist until the first model is published.
        visible_after_s: as VISIBLE_AFTER_S, for this registry.
    """

    visible_after_s = VISIBLE_AFTER_S

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str, backend: str, version: VersionOrDraft) -> Path:
        """Return the folder of a model, whether or not it exists.

        Raises:
            NotFoundError: the name of the model, of the backend or of the draft is not a valid name.
        """
        return path_of(self.root, name, backend, version)

    def events_folder(self, name: str, backend: str, version: int) -> Path:
        """Return the folder in which a run writes event files for TensorBoard.

        It lies beside the models and is grouped by version, so that TensorBoard shows a version's backends together.
        """
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
        """Publish a model: all of it, or nothing if anything fails. When this returns, every reader sees the model.

        If the same writer has published this version before, nothing is written: a job that is executed again
        succeeds.

        Args:
            description: the manifest's content. The identity and the checksums of the files are added to it.
            writer: the id of the job that publishes; it is stored in the manifest.
            before: called with the name of the complete draft before other processes can see the model. If it
                raises, the model is not published.

        Raises:
            AlreadyPublishedError: another writer published this version.
        """
        place = self.path(name, backend, version)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / new_draft_name()
        draft.mkdir()
        try:
            data = to_bytes(weights)
            files = {WEIGHTS: checksum(data)}
            write_atomically(draft / WEIGHTS, data, sync=True)
            manifest = encode_manifest(description, name, backend, version, writer, files)
            write_atomically(draft / MANIFEST, manifest, sync=True)
            if before:
                before(draft.name)
            draft.rename(place)
            sync_folder(place.parent)
            time.sleep(VISIBLE_AFTER_S)
        except OSError:
            if not place.exists():
                raise
            if self.manifest(name, backend, version).writer != writer:
                raise AlreadyPublishedError(f"{name} {backend} version {version} is already published") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def list_all(self) -> dict[str, dict[str, list[int]]]:
        """Return name -> backend -> versions of all models, sorted, without models that have no version.

        This asks the disk for the time of each folder, and reads only those that have changed.
        """
        found = {name: self.versions_by_backend(name) for name in list_folders(self.root)}
        return {name: versions for name, versions in found.items() if versions}

    def names(self) -> list[str]:
        """Return the names of all models of which at least one backend has a version, sorted."""
        return list(self.list_all())

    def versions_by_backend(self, name: str) -> dict[str, list[int]]:
        """Return backend -> versions of a model, sorted; an empty dictionary for an unknown or invalid name."""
        if not NAME.fullmatch(name):
            return {}
        found = {backend: self.versions(name, backend) for backend in list_folders(path_of(self.root, name))}
        return {backend: versions for backend, versions in found.items() if versions}

    def versions(self, name: str, backend: str) -> list[int]:
        """Return the published versions of a model, oldest first; an empty list for an unknown or invalid name."""
        with contextlib.suppress(NotFoundError, FileNotFoundError, NotADirectoryError):
            return cached_reads.list_versions(path_of(self.root, name, backend))
        return []

    def backends(self, name: str) -> list[str]:
        """Return the backends that have a version of a model, sorted; an empty list for an unknown or invalid name."""
        return list(self.versions_by_backend(name))

    def resolve_version(self, name: str, backends: tuple[str, ...], version: int | None = None) -> int:
        """Return the version that a request means.

        Args:
            version: the version that the request names. If it names none, the newest version that all the backends
                have is returned. A version with a damaged file is skipped, unless all of them are damaged.

        Raises:
            NotFoundError: the backends do not all have the version, or have no version in common. The message lists
                the models that exist.
        """
        return self._resolve(name, backends, version)[0]

    def resolve(self, name: str, backends: tuple[str, ...], version: int | None = None) -> tuple[int, Manifest]:
        """Return the version that a request means, as `resolve_version` does, and its manifest of the first backend.

        Raises:
            NotFoundError: as for `resolve_version`.
            CorruptModelError: the manifest is damaged.
        """
        number, manifest = self._resolve(name, backends, version)
        return number, manifest or self.manifest(name, backends[0], number)

    def _resolve(self, name: str, backends: tuple[str, ...], version: int | None) -> tuple[int, Manifest | None]:
        """Return the version, and its manifest of the first backend if the search for the version has read it."""
        published = [self.versions(name, backend) for backend in backends]
        if version is not None and all(holds(versions, version) for versions in published):
            return version, None
        if version is None:
            newest = None
            for found in reversed(published[0]):
                if not all(holds(versions, found) for versions in published[1:]):
                    continue
                newest = newest or found
                if manifest := self._manifest_if_intact(name, backends, found):
                    return found, manifest
            if newest:
                return newest, None
        raise NotFoundError(explain_missing(name, version, dict(zip(backends, published, strict=True)), self.names()))

    def _manifest_if_intact(self, name: str, backends: tuple[str, ...], version: int) -> Manifest | None:
        """Return the first backend's manifest if the weights of all backends match their checksums, else None.

        A file is read again only if it changed.
        """
        manifests = []
        try:
            for backend in backends:
                found = cached_reads.checksum_file(path_of(self.root, name, backend, version, WEIGHTS))
                manifests.append(self.manifest(name, backend, version))
                # Comparing the two texts is much faster than comparing the objects.
                if found.sha256 != manifests[-1].files[WEIGHTS].sha256:
                    return None
        except (OSError, LookupError, NotFoundError, CorruptModelError):
            return None
        return manifests[0]

    def identity(self, name: str, backend: str, version: VersionOrDraft) -> FileIdentity:
        """Return the identity of a model's manifest.

        It survives the rename that publishes a draft, and no other model has it. A model that was deleted and
        published again has another one.

        Raises:
            NotFoundError: there is no such model.
        """
        try:
            return identify_file(path_of(self.root, name, backend, version, MANIFEST))
        except FileNotFoundError:
            raise NotFoundError(f"model {name!r} has no version {version} of {backend}") from None

    def manifest(self, name: str, backend: str, version: VersionOrDraft) -> Manifest:
        """Return a model's manifest. The model's weights are not read.

        Raises:
            NotFoundError: there is no such model.
            CorruptModelError: the manifest cannot be read, was changed, or belongs to another model.
        """
        path = path_of(self.root, name, backend, version, MANIFEST)
        try:
            manifest = cached_reads.read_manifest(path, self.identity(name, backend, version))
        except UnavailableError:
            raise
        except (OSError, ValueError) as error:
            raise corrupt_model(name, backend, version, f"its manifest cannot be used: {_reason(error)}") from None
        expected = name, backend, version if isinstance(version, int) else manifest.version
        if (manifest.name, manifest.backend, manifest.version) != expected:
            raise corrupt_model(name, backend, version, "its manifest belongs to another model")
        return manifest

    def verify(self, name: str, backend: str, version: VersionOrDraft) -> VerifiedModel:
        """Read a model, and compare every file with its checksum in the manifest.

        Raises:
            NotFoundError: there is no such model.
            CorruptModelError: a file is missing or differs from what was published.
        """
        data = self.read_weights_file(name, backend, version)
        manifest = self.manifest(name, backend, version)
        return VerifiedModel(manifest, from_bytes(data, manifest.network))

    def read_weights_file(self, name: str, backend: str, version: VersionOrDraft) -> bytes:
        """Return the verified bytes of a model's `weights.safetensors`.

        Raises:
            NotFoundError: there is no such model.
            CorruptModelError: the file or the manifest is missing or differs from what was published.
        """
        manifest = self.manifest(name, backend, version)
        try:
            data = (self.path(name, backend, version) / WEIGHTS).read_bytes()
        except OSError as error:
            raise corrupt_model(name, backend, version, f"{WEIGHTS} cannot be read: {_reason(error)}") from None
        if checksum(data) != manifest.files.get(WEIGHTS):
            raise corrupt_model(name, backend, version, f"{WEIGHTS} was changed after its publication")
        return data

    def delete(self, name: str, backend: str, version: int) -> None:
        """Delete a model and its event files, if they exist.

        The model's folder is renamed first, so that no reader sees a part of the model. When this returns, no reader
        knows of the model.
        """
        place = self.path(name, backend, version)
        shutil.rmtree(self.events_folder(name, backend, version), ignore_errors=True)
        hidden = place.parent / new_draft_name()
        with contextlib.suppress(FileNotFoundError):
            place.rename(hidden)
            sync_folder(place.parent)
            time.sleep(VISIBLE_AFTER_S)
            shutil.rmtree(hidden)

    def remove_abandoned_drafts(self) -> int:
        """Remove the drafts of processes that died while they published or deleted. Return how many were removed."""
        oldest = time.time() - ABANDONED_AFTER_S
        removed = 0
        for draft in self.root.glob("*/*/.tmp-*"):
            with contextlib.suppress(FileNotFoundError):  # another process removes it, too
                if draft.stat().st_mtime < oldest:
                    shutil.rmtree(draft, ignore_errors=True)
                    removed += 1
        return removed


def corrupt_model(name: str, backend: str, version: VersionOrDraft, reason: str) -> CorruptModelError:
    """Return the error for a model that is not as it was published."""
    return CorruptModelError(f"model {name!r} version {version} of {backend} is damaged: {reason}")


def _reason(error: OSError | ValueError) -> str:
    """Return an error's message on one line and without paths: clients read it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
