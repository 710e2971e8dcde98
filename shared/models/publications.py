"""The objects of the registry in an object store: their keys, what the object of a version says, and its condition."""

import re
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.models.registry import MANIFEST, WEIGHTS, corrupt_model
from shared.models.version_listing import FOLDER
from shared.names import NAME
from shared.object_store import ObjectStore

MARKS = "drafts"
CONDITION = f"{MARKS}/conditional-write"  # below a folder in which a trainer's key may write anyway

_MARK = re.compile(rf"{MARKS}/({NAME.pattern})/({NAME.pattern})/([0-9]{{1,18}})/([0-9a-f]{{32}})")


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


def version_key(name: str, backend: str, version: int) -> str:
    """Return the key of a version's publication."""
    return f"{FOLDER}/{name}/{backend}/{version}"


def contents_key(name: str, backend: str, draft: str) -> str:
    """Return the beginning of the keys of a draft's files."""
    return f"contents/{name}/{backend}/{draft}"


def mark_key(name: str, backend: str, version: int, draft: str) -> str:
    """Return the key of the object that is there while a draft is published or deleted."""
    return f"{MARKS}/{name}/{backend}/{version}/{draft}"


class Draft(NamedTuple):
    """A draft that has a mark.

    Attributes:
        name: of the model.
        backend: whose model it is.
        version: that it was written to become.
        draft: its own name, 32 hexadecimal digits.
    """

    name: str
    backend: str
    version: int
    draft: str


def parse_mark_key(key: str) -> Draft | None:
    """Return the draft that a mark belongs to, or None if the key is none of ours: the inverse of `mark_key`."""
    found = _MARK.fullmatch(key)
    return Draft(found[1], found[2], int(found[3]), found[4]) if found else None


def read_publication(store: ObjectStore, name: str, backend: str, version: int) -> Publication | None:
    """Return what the store says about a version now, or None if it is not published.

    Raises:
        CorruptModelError: the object is not one of ours.
        ObjectStoreError: the store does not answer.
    """
    try:
        return Publication.model_validate_json(store.get(version_key(name, backend, version)))
    except FileNotFoundError:
        return None
    except ValidationError:
        raise corrupt_model(name, backend, version, "its publication cannot be read") from None


def discard_draft(store: ObjectStore, name: str, backend: str, version: int, draft: str) -> None:
    """Delete the files of a draft that is not published, and then its mark.

    Raises:
        ObjectStoreError: the store does not answer.
    """
    folder = contents_key(name, backend, draft)
    store.delete(f"{folder}/{MANIFEST}", f"{folder}/{WEIGHTS}", mark_key(name, backend, version, draft))


def check_conditional_writes(store: ObjectStore) -> None:
    """Check that the store does not create an object that it has. Otherwise two writers could publish one version.

    The object stays. So the next check needs only one request.

    Raises:
        RuntimeError: the store has created it twice.
        ObjectStoreError: the store does not answer.
    """
    for _ in range(2):
        try:
            store.create(CONDITION, b"")
        except FileExistsError:
            return
    raise RuntimeError(
        "the object store of TANDEM_MODEL_STORE ignores 'If-None-Match: *', so two writers could publish the same "
        "version: use a store with conditional writes, see docs/object-store.md"
    )
