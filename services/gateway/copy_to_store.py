"""Copies the models and uploaded datasets of a machine into the object store, which from then on replaces its folders.

    TANDEM_MODEL_STORE=s3://bucket/prefix python -m services.gateway.copy_to_store

It reads TANDEM_MODEL_DIR and TANDEM_UPLOAD_DIR and changes nothing in them. What the store has already is left out, so
the program may be run again after it was interrupted. Versions keep their numbers, and manifests their bytes.
"""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from shared.data.stored_upload_store import store_version
from shared.data.stored_uploads import DIGEST_DIGITS, NEWEST, compute_digest
from shared.data.uploaded_datasets import UploadRecord, folder_of, list_names, pointer_of, read_record
from shared.errors import CorruptModelError, MissingDatasetError, NotFoundError
from shared.models.manifest import Manifest
from shared.models.publications import (
    Publication,
    contents_key,
    discard_draft,
    mark_key,
    read_publication,
    version_key,
)
from shared.models.registry import MANIFEST, WEIGHTS, ModelRegistry
from shared.object_store import ObjectStore, ObjectStoreError, open_object_store
from shared.settings import Settings

COPIED, THERE = "copied", "is in the store already"


def main() -> int:
    """Copy everything and print a line for each version and dataset. Return 1 if something could not be copied."""
    settings = Settings.from_env()
    if settings.model_store is None:
        print("Set TANDEM_MODEL_STORE to s3://bucket/prefix: see docs/object-store.md", file=sys.stderr)
        return 2
    store = open_object_store(settings.model_store)
    is_complete = True
    try:
        for lines in (copy_models(ModelRegistry(settings.model_dir), store), copy_uploads(settings, store)):
            for line, is_good in lines:
                print(line, file=sys.stdout if is_good else sys.stderr, flush=True)
                is_complete &= is_good
    except ObjectStoreError as error:
        print(f"{error}. What was copied stays. Run this again.", file=sys.stderr)
        return 1
    return 0 if is_complete else 1


def copy_models(registry: ModelRegistry, store: ObjectStore) -> Iterator[tuple[str, bool]]:
    """Copy every version of every model. Yield what happened to each, and whether the store has it now."""
    for name, backends in registry.list_all().items():
        for backend, versions in backends.items():
            for version in versions:
                label = f"{name} version {version} of {backend}"
                try:
                    yield f"{label}: {copy_version(registry, store, name, backend, version)}", True
                except (CorruptModelError, NotFoundError) as error:
                    yield f"{label}: not copied, because {error}", False


def copy_version(registry: ModelRegistry, store: ObjectStore, name: str, backend: str, version: int) -> str:
    """Copy one version, and return what happened. A reader of the store sees all of it or nothing.

    Raises:
        NotFoundError: it was deleted meanwhile.
        CorruptModelError: a file is damaged.
        ObjectStoreError: the store does not answer, or does not say yet who has published the version.
    """
    if store.exists(version_key(name, backend, version)):
        return THERE
    weights = registry.read_weights_file(name, backend, version)
    manifest = registry.manifest(name, backend, version)
    data = (registry.path(name, backend, version) / MANIFEST).read_bytes()
    draft = uuid.uuid4().hex
    store.put(mark_key(name, backend, version, draft), b"")
    store.put(f"{contents_key(name, backend, draft)}/{WEIGHTS}", weights)
    store.put(f"{contents_key(name, backend, draft)}/{MANIFEST}", data)
    publication = Publication(draft=draft, digest=Manifest.parse(data).digest, writer=manifest.writer)
    try:
        store.create(version_key(name, backend, version), publication.model_dump_json().encode())
    except FileExistsError:
        # Somebody else was faster, or this program's own first request was, whose answer was lost. A store refuses a
        # request beside another one, too, of which nobody knows the end. Then the trainers' clean-up decides, a day
        # later, whether the draft or only its mark is removed.
        found = read_publication(store, name, backend, version)
        if found is None:
            label = f"{name} version {version} of {backend}"
            raise ObjectStoreError(f"the object store does not say yet whether {label} is published") from None
        if found.draft != draft:
            discard_draft(store, name, backend, version, draft)
            return THERE
    store.delete(mark_key(name, backend, version, draft))
    return COPIED


def copy_uploads(settings: Settings, store: ObjectStore) -> Iterator[tuple[str, bool]]:
    """Copy the newest version of every uploaded dataset. Yield what happened, and whether the store has it now."""
    for name in list_names(settings.upload_dir):
        record = read_record(pointer_of(settings.upload_dir, name))
        if store.exists(f"{NEWEST}/{name}"):
            yield f"dataset {name}: {THERE}", True
        elif record and is_intact(folder := folder_of(settings.upload_dir, name, record.version), record):
            store_version(store, folder, record)
            yield f"dataset {name}: {COPIED}", True
        else:
            yield f"dataset {name}: not copied, because its files are damaged", False


def is_intact(folder: Path, record: UploadRecord) -> bool:
    """Return whether the arrays in a folder are those that were uploaded."""
    try:
        return compute_digest(record, folder)[:DIGEST_DIGITS] == record.version[:DIGEST_DIGITS]
    except (OSError, MissingDatasetError):
        return False


if __name__ == "__main__":
    sys.exit(main())
