"""Sign job payloads, and verify the signatures before anything runs."""

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from shared.errors import UntrustedJobError


def signing_key(path: Path) -> bytes:
    """Return the key that signs jobs. The first process that needs it creates the file, readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent) as draft:  # made with mode 0600
            draft.write(secrets.token_bytes(32))
            draft.flush()
            with contextlib.suppress(FileExistsError):  # another process was first: its key counts
                os.link(draft.name, path)
    return path.read_bytes()


def sign(payload: str, key: bytes) -> str:
    """Return the HMAC-SHA256 of a payload, in hexadecimal."""
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def verify_signature(payload: str, signature: str, key: bytes) -> None:
    """Check that a payload was signed with the key. Access to Redis alone must not allow anybody to run jobs.

    Raises:
        UntrustedJobError: the signature is not the payload's.
    """
    if not hmac.compare_digest(sign(payload, key), signature):
        raise UntrustedJobError("the job was not signed with this Tandem's key")
