"""Sign job payloads, and verify them before anything runs."""

import hashlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Any, cast

from shared.errors import UntrustedJobError
from shared.process import write_atomically


def signing_key(path: Path) -> bytes:
    """The key that signs jobs; whoever needs it first makes it, whole, for its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # If another process is first, its key stays, and this process reads that one.
        write_atomically(path, secrets.token_bytes(32), mode=0o600, replace=False)
    return path.read_bytes()


def sign(payload: str, key: bytes) -> str:
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def trusted(payload: str, signature: str, key: bytes) -> dict[str, Any]:
    """What a job asks for, once its signature is found to be ours.

    Raises:
        UntrustedJobError: whoever can write to Redis may not command a trainer.
    """
    if not hmac.compare_digest(sign(payload, key), signature):
        raise UntrustedJobError("the job was not signed with this Tandem's key")
    return cast(dict[str, Any], json.loads(payload))
