"""The objects of the registry in an object store: their keys, and what the object of a version says."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.models.version_listing import FOLDER


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
    return f"drafts/{name}/{backend}/{version}/{draft}"
