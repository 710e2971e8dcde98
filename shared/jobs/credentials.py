"""Short-lived credentials with which other services of Tandem call the gateway: the load tester and the pipelines.

These services have the key that signs jobs, because they verify them. A service signs a credential with the same key
when a job begins. So no credential is stored or sent through Redis, and none outlives its job for long.
"""

import hmac
import re
from typing import Literal, get_args

from shared.jobs.signing import sign

CallingService = Literal["loadtest", "pipelines"]
# A job's payload is a JSON object, so a signature of a job is never one of a credential.
_TEXT = re.compile(rf"tandem-({'|'.join(get_args(CallingService))})_([0-9]{{1,12}})_([0-9a-f]{{64}})")


def issue_credential(service: CallingService, key: bytes, expires_s: float) -> str:
    """Return a credential for the header `Authorization: Bearer ...`.

    Args:
        service: who calls.
        key: the key that signs jobs.
        expires_s: when it stops counting, in seconds since 1970.
    """
    claim = f"tandem-{service}_{int(expires_s)}"
    return f"{claim}_{sign(claim, key)}"


def service_of(text: str, key: bytes, now_s: float) -> str | None:
    """Return the service whose credential a text is; None if it was not signed with this key, or has expired."""
    parts = _TEXT.fullmatch(text)
    if parts is None:
        return None
    claim = text.rpartition("_")[0]
    is_valid = hmac.compare_digest(sign(claim, key), parts[3]) and now_s < int(parts[2])
    return parts[1] if is_valid else None
