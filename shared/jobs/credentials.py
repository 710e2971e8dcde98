"""Short-lived credentials with which the load tester calls the gateway.

The load tester has the key that signs jobs, because it verifies them. It signs a credential with the same key when a
load test begins. So no credential is stored or sent through Redis, and none outlives its load test for long.
"""

import hmac
import re

from shared.jobs.signing import sign

# A job's payload is a JSON object, so a signature of a job is never one of a credential.
_TEXT = re.compile(r"tandem-loadtest_([0-9]{1,12})_([0-9a-f]{64})")


def issue_loadtest_credential(key: bytes, expires_s: float) -> str:
    """Return a credential for the header `Authorization: Bearer ...`.

    Args:
        key: the key that signs jobs.
        expires_s: when it stops counting, in seconds since 1970.
    """
    claim = f"tandem-loadtest_{int(expires_s)}"
    return f"{claim}_{sign(claim, key)}"


def is_loadtest_credential(text: str, key: bytes, now_s: float) -> bool:
    """Return whether a text is a credential that was signed with this key and has not expired."""
    parts = _TEXT.fullmatch(text)
    if parts is None:
        return False
    claim = text.rpartition("_")[0]
    return hmac.compare_digest(sign(claim, key), parts[2]) and now_s < int(parts[1])
