"""Scopes: what a client may do. Every route declares which scopes it takes, in OpenAPI's words (`security`).

`read`, `predict` and `train` do not include each other. `admin` includes all of them.
"""

from collections.abc import Sequence
from typing import Literal, get_args

Scope = Literal["read", "predict", "train", "admin"]
Requirement = list[dict[str, list[str]]]  # OpenAPI's `security`: one entry per alternative

ADMIN = "admin"
ALL_SCOPES: frozenset[str] = frozenset(get_args(Scope))
SECURITY_SCHEME = "bearer"

# What routes declare. A client needs one of the named scopes, or `admin`.
PUBLIC: Requirement = [{}]  # no token is needed
ANY_TOKEN: Requirement = [{SECURITY_SCHEME: []}]
READ: Requirement = [{SECURITY_SCHEME: ["read"]}]
PREDICT: Requirement = [{SECURITY_SCHEME: ["predict"]}]
READ_OR_PREDICT: Requirement = [*READ, *PREDICT]
TRAIN: Requirement = [{SECURITY_SCHEME: ["train"]}]
ADMIN_ONLY: Requirement = [{SECURITY_SCHEME: [ADMIN]}]


def accepted_scopes(security: Requirement) -> frozenset[str]:
    """Return the scopes of which a client needs one. The result is empty if any token is enough."""
    return frozenset(scope for alternative in security for scope in alternative.get(SECURITY_SCHEME, []))


def granted(scopes: Sequence[str]) -> frozenset[str]:
    """Return what a token with these scopes may do: `admin` includes every scope."""
    return ALL_SCOPES if ADMIN in scopes else frozenset(scopes)
