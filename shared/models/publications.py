"""What a registry writes into an object store.

    models/{name}/{backend}/{version}             which draft is this version: a `Publication`
    contents/{name}/{backend}/{draft}/            the manifest and the weights of a draft, never changed
    drafts/{name}/{backend}/{version}/{draft}     an empty object while a draft is being published or deleted

A version exists exactly when its publication exists. It is written last, with a condition: of several writers, one
succeeds.
"""

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.models.manifest import Manifest
from shared.models.registry import MANIFEST, WEIGHTS, corrupt_model
from shared.models.version_listing import FOLDER
from shared.object_store import ObjectStore

UNFINISHED_AFTER_S = 86_400.0
"""A draft that is a day old was left behind by a process that died. Nobody may publish it any more."""


class Publication(BaseModel):
    """What the object of a version says.

    Attributes:
        draft: the name of the draft, 32 hexadecimal digits.
        digest: of the draft's manifest.
        writer: the id of the job that published it.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    draft: str
    digest: str
    writer: str


class Publications:
    """The versions and drafts in a store. Every method may raise ObjectStoreError."""

    def __init__(self, store: ObjectStore) -> None:
        """Use a store. Nothing connects before the first use."""
        self._store = store

    def read(self, name: str, backend: str, version: int) -> Publication | None:
        """Return what the store says about a version now, or None if it is not published.

        Raises:
            CorruptModelError: the object is not one of ours.
        """
        try:
            return Publication.model_validate_json(self._store.get(_version_key(name, backend, version)))
        except FileNotFoundError:
            return None
        except ValidationError:
            raise corrupt_model(name, backend, version, "its publication cannot be read") from None

    def read_file(self, name: str, backend: str, draft: str, file: str) -> bytes:
        """Return a file of a draft.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._store.get(f"{_contents(name, backend, draft)}/{file}")

    def mark(self, name: str, backend: str, version: int, draft: str) -> None:
        """Note that a draft is about to be written or deleted, so that the clean-up finds it if the process dies."""
        self._store.put(_mark(name, backend, version, draft), b"")

    def remove_mark(self, name: str, backend: str, version: int, draft: str) -> None:
        """Note that a draft is published."""
        self._store.delete(_mark(name, backend, version, draft))

    def write_draft(self, name: str, backend: str, draft: str, weights: bytes, manifest: bytes) -> None:
        """Write the files of a draft, which has a mark."""
        folder = _contents(name, backend, draft)
        self._store.put(f"{folder}/{WEIGHTS}", weights)
        self._store.put(f"{folder}/{MANIFEST}", manifest)

    def create(self, manifest: Manifest, draft: str) -> None:
        """Make a draft the version that its manifest names. If this fails, the draft may have been published.

        Raises:
            FileExistsError: the version is published already.
        """
        publication = Publication(draft=draft, digest=manifest.digest, writer=manifest.writer)
        key = _version_key(manifest.name, manifest.backend, manifest.version)
        self._store.create(key, publication.model_dump_json().encode())

    def delete(self, name: str, backend: str, version: int) -> None:
        """Delete a publication. The files of its draft stay."""
        self._store.delete(_version_key(name, backend, version))

    def discard(self, name: str, backend: str, version: int, draft: str) -> None:
        """Delete the files of a draft that is not published, and then its mark."""
        folder = _contents(name, backend, draft)
        self._store.delete(f"{folder}/{MANIFEST}", f"{folder}/{WEIGHTS}", _mark(name, backend, version, draft))

    def remove_abandoned(self) -> int:
        """Remove the drafts of processes that died while they published or deleted. Return how many were removed."""
        oldest = time.time() - UNFINISHED_AFTER_S
        removed = 0
        for mark in [found for found in self._store.list("drafts") if found.modified_s < oldest]:
            _, name, backend, version, draft = mark.key.split("/")
            published = self.read(name, backend, int(version))
            if published and published.draft == draft:
                self._store.delete(mark.key)
            else:
                self.discard(name, backend, int(version), draft)
                removed += 1
        return removed


def _version_key(name: str, backend: str, version: int) -> str:
    return f"{FOLDER}/{name}/{backend}/{version}"


def _contents(name: str, backend: str, draft: str) -> str:
    return f"contents/{name}/{backend}/{draft}"


def _mark(name: str, backend: str, version: int, draft: str) -> str:
    return f"drafts/{name}/{backend}/{version}/{draft}"
