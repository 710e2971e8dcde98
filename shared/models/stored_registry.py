"""A registry whose models lie in an object store. Each machine has copies of those that it uses.

    models/{name}/{backend}/{version}             which draft is this version: a `Publication`
    contents/{name}/{backend}/{draft}/            the manifest and the weights of a draft, never changed
    drafts/{name}/{backend}/{version}/{draft}     an empty object while a draft is being published or deleted

A version exists exactly when its publication exists. It is written last, with a condition: of several writers, one
succeeds. The copies lie in a folder that is laid out as the model volume. A reader verifies every file before it copies
it. Everything that the registry of a folder does with its files works on the copies, too.
"""

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError, UnavailableError
from shared.models.cached_reads import FileIdentity, check_may_read, checksum
from shared.models.manifest import Manifest, ModelDescription, encode_manifest
from shared.models.model_copies import digest_in, list_copies, replace_folder, sort_versions
from shared.models.model_paths import DRAFT_PREFIX, VersionOrDraft
from shared.models.publications import (
    MARKS,
    Publication,
    contents_key,
    discard_draft,
    mark_key,
    parse_mark_key,
    read_publication,
    version_key,
)
from shared.models.registry import MANIFEST, VISIBLE_AFTER_S, WEIGHTS, ModelRegistry, corrupt_model
from shared.models.version_listing import KEPT_S, UNKNOWN_TAG, VersionListing
from shared.names import NAME
from shared.network.weights import Weights, to_bytes
from shared.object_store import ObjectStore, ObjectStoreError
from shared.process import write_atomically

STORED_VISIBLE_AFTER_S = KEPT_S + VISIBLE_AFTER_S
UNFINISHED_AFTER_S = 86_400.0
"""A draft that is a day old was left behind by a process that died. Nobody may publish it any more."""
MUST_PUBLISH_WITHIN_S = 3600.0

log = structlog.get_logger()


class StoredModelRegistry(ModelRegistry):
    """The models in an object store. See `ModelRegistry` for the methods.

    Every method may also raise ObjectStoreError if the store does not answer and this machine has no copy.

    Args:
        store: the store.
        cache: the folder for the copies.
    """

    visible_after_s = STORED_VISIBLE_AFTER_S

    def __init__(self, store: ObjectStore, cache: Path) -> None:
        super().__init__(cache)
        self.store = store
        self._listing = VersionListing(store, partial(list_copies, cache), self._forget)
        self._tags: dict[tuple[str, str, int], str] = {}  # the publications that the copies belong to

    def list_all(self) -> dict[str, dict[str, list[int]]]:
        """Return name -> backend -> versions of all models, sorted."""
        found = self._listing.all()
        return {name: sort_versions(found[name]) for name in sorted(found)}

    def versions_by_backend(self, name: str) -> dict[str, list[int]]:
        """Return backend -> versions of a model, sorted."""
        return sort_versions(self._listing.of(name)) if NAME.fullmatch(name) else {}

    def versions(self, name: str, backend: str) -> list[int]:
        """Return the published versions of a model, oldest first."""
        return self.versions_by_backend(name).get(backend, [])

    def identity(self, name: str, backend: str, version: VersionOrDraft) -> FileIdentity:
        """Return the identity of the copy of a model's manifest. It is made first, if necessary."""
        folder = self.path(name, backend, version)
        if isinstance(version, str):
            if not (folder / MANIFEST).exists():
                check_may_read()
                self._copy_manifest(folder, name, backend, version)
            return super().identity(name, backend, version)
        tag = self._listing.of(name).get(backend, {}).get(version)
        if tag is None:
            raise NotFoundError(f"model {name!r} has no version {version} of {backend}")
        if tag not in (UNKNOWN_TAG, self._tags.get((name, backend, version))):
            self._copy_version(name, backend, version, tag)
        try:
            return super().identity(name, backend, version)
        except NotFoundError:  # the copy was removed
            self._copy_version(name, backend, version, tag)
            return super().identity(name, backend, version)

    def manifest(self, name: str, backend: str, version: VersionOrDraft) -> Manifest:
        """Return a model's manifest. A damaged copy of it is replaced."""
        try:
            return super().manifest(name, backend, version)
        except CorruptModelError:
            if not isinstance(version, int) or digest_in(self.path(name, backend, version)):
                raise
            check_may_read()
            log.warning("a copy of a model is damaged, and is made anew", model=name, backend=backend, version=version)
            self._forget(name, backend, version)
            return super().manifest(name, backend, version)

    def read_weights_file(self, name: str, backend: str, version: VersionOrDraft) -> bytes:
        """Return the verified bytes of a model's weights. They are copied first, if necessary."""
        manifest = self.manifest(name, backend, version)
        path = self.path(name, backend, version) / WEIGHTS
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            if checksum(data) == manifest.files.get(WEIGHTS):
                return data
            log.warning("a copy of a model is damaged, and is made anew", model=name, backend=backend, version=version)
        draft = version.removeprefix(DRAFT_PREFIX) if isinstance(version, str) else self._draft_of(manifest)
        try:
            data = self.store.get(f"{contents_key(name, backend, draft)}/{WEIGHTS}")
        except FileNotFoundError:
            if isinstance(version, int):
                self._draft_of(manifest)  # raises NotFoundError if the version was deleted meanwhile
            raise corrupt_model(name, backend, version, f"{WEIGHTS} is missing") from None
        if checksum(data) != manifest.files.get(WEIGHTS):
            raise corrupt_model(name, backend, version, f"{WEIGHTS} was changed after its publication")
        with contextlib.suppress(OSError):  # without a copy, it is fetched again the next time
            write_atomically(path, data)
        return data

    def _manifest_if_intact(self, name: str, backends: tuple[str, ...], version: int) -> Manifest | None:
        """Return the first backend's manifest if all manifests are intact. The store itself looks after the weights."""
        try:
            manifests = [self.manifest(name, backend, version) for backend in backends]
        except (NotFoundError, CorruptModelError):
            return None
        return manifests[0]

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
        """Publish a model. If this fails because the store does not answer, it may have been published.

        The caller tries again. If its first attempt has succeeded, the second one does nothing.
        """
        self.path(name, backend, version)  # checks the names
        if self._is_published(name, backend, version, writer):
            return
        draft, started = uuid.uuid4().hex, time.time()
        data = to_bytes(weights)
        manifest = encode_manifest(description, name, backend, version, writer, {WEIGHTS: checksum(data)})
        folder = contents_key(name, backend, draft)
        self.store.put(mark_key(name, backend, version, draft), b"")
        # If this fails, the store may still write a file after it was deleted. So the clean-up deletes it, a day later.
        self.store.put(f"{folder}/{WEIGHTS}", data)
        self.store.put(f"{folder}/{MANIFEST}", manifest)
        try:
            if before:
                before(f"{DRAFT_PREFIX}{draft}")
            if time.time() - started > MUST_PUBLISH_WITHIN_S:
                raise ObjectStoreError("the publication took too long, and another process may remove its files")
        except BaseException:
            with contextlib.suppress(OSError):
                discard_draft(self.store, name, backend, version, draft)
            raise
        publication = Publication(draft=draft, digest=Manifest.parse(manifest).digest, writer=writer)
        try:
            # If the answer is lost, nobody knows whether the version is published. Then the draft must stay.
            self.store.create(version_key(name, backend, version), publication.model_dump_json().encode())
        except FileExistsError:
            found = read_publication(self.store, name, backend, version)
            if found is None:  # a store refuses a request beside another one, too, of which nobody knows the end
                raise ObjectStoreError("the object store does not say yet whether the version is published") from None
            if found.draft != draft:
                discard_draft(self.store, name, backend, version, draft)
            if found.writer != writer:
                raise AlreadyPublishedError(f"{name} {backend} version {version} is already published") from None
        with contextlib.suppress(OSError):
            self.store.delete(mark_key(name, backend, version, draft))
        self._listing.clear()
        time.sleep(self.visible_after_s)

    def delete(self, name: str, backend: str, version: int) -> None:
        """Delete a model, if it exists: first its publication, then its files."""
        shutil.rmtree(self.events_folder(name, backend, version), ignore_errors=True)
        found = read_publication(self.store, name, backend, version)
        if found is None:
            return
        self.store.put(mark_key(name, backend, version, found.draft), b"")
        self.store.delete(version_key(name, backend, version))
        self._listing.clear()
        self._forget(name, backend, version)
        time.sleep(self.visible_after_s)
        discard_draft(self.store, name, backend, version, found.draft)

    def remove_abandoned_drafts(self) -> int:
        """Remove the drafts of processes that died. Return how many were removed."""
        removed = super().remove_abandoned_drafts()
        oldest = time.time() - UNFINISHED_AFTER_S
        for mark in [found for found in self.store.list(MARKS) if found.modified_s < oldest]:
            draft = parse_mark_key(mark.key)
            if draft is None:
                continue
            try:
                found = read_publication(self.store, draft.name, draft.backend, draft.version)
            except CorruptModelError as error:
                log.warning("a draft is kept, because it may be published", draft=draft.draft, reason=str(error))
                continue
            if found and found.draft == draft.draft:
                self.store.delete(mark.key)
                continue
            discard_draft(self.store, *draft)
            removed += 1
        return removed

    def _is_published(self, name: str, backend: str, version: int, writer: str) -> bool:
        """Return whether this writer has published the version.

        Raises:
            AlreadyPublishedError: another writer has.
        """
        found = read_publication(self.store, name, backend, version)
        if found and found.writer != writer:
            raise AlreadyPublishedError(f"{name} {backend} version {version} is already published")
        return found is not None

    def _copy_version(self, name: str, backend: str, version: int, tag: str) -> None:
        """Make sure that the copy of a version's manifest is the one that is published.

        Raises:
            NotFoundError: the version was deleted.
            CorruptModelError: the manifest is missing, or is not the one that was published.
        """
        check_may_read()
        publication = read_publication(self.store, name, backend, version)
        if publication is None:
            self._listing.clear()
            raise NotFoundError(f"model {name!r} has no version {version} of {backend}")
        place = self.path(name, backend, version)
        if digest_in(place) != publication.digest:
            draft = place.parent / f"{DRAFT_PREFIX}{publication.draft}"
            if digest_in(draft) != publication.digest:
                self._copy_manifest(draft, name, backend, version, publication)
            replace_folder(draft, place)
        self._tags[name, backend, version] = tag

    def _copy_manifest(
        self, folder: Path, name: str, backend: str, version: VersionOrDraft, publication: Publication | None = None
    ) -> None:
        """Copy the manifest of a version or a draft into a folder.

        Args:
            folder: where the copy will lie.
            name: of the model.
            backend: whose model it is.
            version: the version, for messages; or the draft.
            publication: of the version; None for a draft.

        Raises:
            NotFoundError: there is no such draft.
            CorruptModelError: it is not the one that was published.
        """
        draft = publication.draft if publication else str(version).removeprefix(DRAFT_PREFIX)
        try:
            data = self.store.get(f"{contents_key(name, backend, draft)}/{MANIFEST}")
            manifest = Manifest.parse(data)
        except FileNotFoundError:
            if publication:
                raise corrupt_model(name, backend, version, "its manifest is missing") from None
            raise NotFoundError(f"model {name!r} has no version {draft} of {backend}") from None
        except ValueError:
            raise corrupt_model(name, backend, version, "its manifest was changed") from None
        if publication and manifest.digest != publication.digest:
            raise corrupt_model(name, backend, version, "its manifest is not the one that was published")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / MANIFEST, data)
        except OSError as error:
            raise UnavailableError(
                f"models cannot be copied to this machine ({error.strerror}): make TANDEM_MODEL_DIR writable, "
                "and make room in it"
            ) from None

    def _draft_of(self, manifest: Manifest) -> str:
        """Return the draft that a published manifest belongs to.

        Raises:
            NotFoundError: the version was deleted.
        """
        found = read_publication(self.store, manifest.name, manifest.backend, manifest.version)
        if found is None or found.digest != manifest.digest:
            raise NotFoundError(f"model {manifest.name!r} has no version {manifest.version} of {manifest.backend}")
        return found.draft

    def _forget(self, name: str, backend: str, version: int) -> None:
        """Remove the copy of a version that was deleted."""
        self._tags.pop((name, backend, version), None)
        shutil.rmtree(self.path(name, backend, version), ignore_errors=True)
