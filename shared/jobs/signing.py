"""Sign job payloads, and verify them before anything runs."""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any, cast

from shared.errors import UntrustedJobError


def signing_key(path: Path) -> bytes:
    """The key that signs jobs; whoever needs it first makes it, whole, for its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent) as draft:  # made with mode 0600
            draft.write(secrets.token_bytes(32))
            draft.flush()
            with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
                os.link(draft.name, path)
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
