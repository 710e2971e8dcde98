"""Sign job payloads, and verify the signatures before anything runs."""

import hashlib
import hmac
import secrets
from pathlib import Path

from shared.errors import UntrustedJobError
from shared.process import write_atomically


def signing_key(path: Path) -> bytes:
    """Return the key that signs jobs. The first process that needs it creates the file, readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # If another process is first, its key stays, and this process reads that one.
        write_atomically(path, secrets.token_bytes(32), mode=0o600, replace=False)
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
