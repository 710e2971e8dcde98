"""Access tokens: their text, their records, and the answer to "whose token is this?".

A token is `tandem_<id>_<secret>`. The secret has 256 random bits. Only its SHA-256 is stored: nobody can guess such a
secret, and a slow hash would let clients keep the server busy (ADR 21). This module does no I/O.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.scopes import ADMIN, Scope, granted

TOKEN_ID = r"[0-9a-f]{12}"  # noqa: S105 - a pattern
TOKEN = re.compile(rf"tandem_({TOKEN_ID})_([0-9a-f]{{64}})")


class StoredToken(BaseModel):
    """What is kept of a token.

    Attributes:
        id: the second part of the token's text; not secret.
        name: what the operator called it.
        scopes: what its owner may do.
        sha256: of the token's secret, in hexadecimal.
        created_at: when it was made.
        expires_at: when it stops counting; None is never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=f"^{TOKEN_ID}$")]
    name: str
    scopes: Annotated[list[Scope], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created_at: datetime
    expires_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Return whether the token's time is over."""
        return self.expires_at is not None and now >= self.expires_at


class NewToken(NamedTuple):
    """A token that was just made. Its text exists nowhere else."""

    record: StoredToken
    text: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a request is compared with; times are seconds since 1970."""

    digest: bytes
    scopes: frozenset[str]
    expires_s: float


_NOBODY = _Entry(b"\0" * 32, frozenset(), 0.0)  # what an unknown id is compared with, so that it takes the same time


class TokenTable:
    """Tokens by id, as they are looked up for each request. It never changes.

    Attributes:
        records: what is stored of each token, in the order in which they were made.
    """

    def __init__(self, records: Sequence[StoredToken] = ()) -> None:
        self.records = tuple(records)
        self._entries = {
            record.id: _Entry(
                bytes.fromhex(record.sha256),
                granted(record.scopes),
                record.expires_at.timestamp() if record.expires_at else float("inf"),
            )
            for record in records
        }

    def find(self, text: str, now_s: float) -> tuple[str, frozenset[str]] | None:
        """Return the id of a token and what its owner may do; None if it is malformed, unknown, revoked or expired.

        Args:
            text: `tandem_<id>_<secret>`, as a client sent it.
            now_s: seconds since 1970.
        """
        parts = TOKEN.fullmatch(text)
        if parts is None:
            return None
        identity, secret = parts.groups()
        entry = self._entries.get(identity, _NOBODY)
        if hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), entry.digest) and now_s < entry.expires_s:
            return identity, entry.scopes
        return None

    def has_other_admin(self, identity: str, now: datetime) -> bool:
        """Return whether a token other than this one has the scope admin and is not expired."""
        return any(
            ADMIN in record.scopes and record.id != identity and not record.is_expired(now) for record in self.records
        )


def make_token(name: str, scopes: list[Scope], days: int | None) -> NewToken:
    """Return a new token.

    Args:
        days: how long it counts; None is forever.
    """
    identity, secret, now = secrets.token_hex(6), secrets.token_hex(32), datetime.now(UTC)
    record = StoredToken(
        id=identity,
        name=name,
        scopes=scopes,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        created_at=now,
        expires_at=now + timedelta(days=days) if days else None,
    )
    return NewToken(record, f"tandem_{identity}_{secret}")
