"""The file of access tokens. It is read again when it changes, so a revocation counts in every process at once.

Two files have the mode 0600: the tokens, and beside them the time at which each was last used. The second one is
written at most every FLUSH_S, never for each request. If it is damaged, only those times are lost. If the file of
tokens is damaged, nobody gets in: it is never taken for an empty one.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from services.gateway.access.tokens import NewToken, StoredToken, TokenTable, make_token
from services.gateway.scopes import ADMIN, Scope
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.process import write_atomically

CHECK_S = 0.2  # the file is looked at no more often
FLUSH_S = 10.0
MAX_TOKENS = 1000
FILE_MODE = 0o600

log = structlog.get_logger()


class TokenFile(BaseModel):
    """The content of the file of tokens."""

    model_config = ConfigDict(extra="forbid")

    tokens: list[StoredToken]


_TIMES = TypeAdapter(dict[str, float])


class DamagedTokenFileError(UnavailableError):
    """The file of tokens cannot be read or is not what this module writes. Nobody is let in."""


class ReadOnlyTokensError(ConflictError):
    """The file of tokens lies where this process may not write, for example in a Kubernetes secret."""


class TokenStore:
    """Reads and writes the file of tokens.

    Args:
        path: the file. Its folder is created with the first token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times_path = path.with_name(f"{path.name}.used")
        self._table: TokenTable | None = TokenTable()  # None: the file is damaged
        self._seen: tuple[int, int, int] | None = None
        self._checked_s = float("-inf")
        self._used: dict[str, float] = {}  # id -> seconds since 1970, as this process has seen it
        self._written: dict[str, float] = {}  # the same when it was written last
        self._task: asyncio.Task[None] | None = None

    def table(self) -> TokenTable:
        """Return the tokens. The file is looked at if CHECK_S have passed, and read if it changed.

        Raises:
            DamagedTokenFileError: the file cannot be used.
        """
        now = time.monotonic()
        if now - self._checked_s >= CHECK_S:
            self._checked_s = now
            self._refresh()
        if self._table is None:
            raise DamagedTokenFileError("the file of access tokens cannot be used: the gateway's log says why")
        return self._table

    def read(self) -> TokenTable:
        """Read the file now.

        Raises:
            DamagedTokenFileError: the file cannot be used. The message says why.
        """
        try:
            return TokenTable(TokenFile.model_validate_json(self._path.read_bytes()).tokens)
        except FileNotFoundError:
            return TokenTable()
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not what Tandem writes"
            raise DamagedTokenFileError(
                f"the token file {self._path.name} cannot be used ({reason}): restore it, or remove it to begin "
                "without tokens"
            ) from None

    def create(self, name: str, scopes: list[Scope], days: int | None) -> NewToken:
        """Make a token and store it.

        Raises:
            ConflictError: it would be the first one and lacks the scope admin, or there are MAX_TOKENS.
            DamagedTokenFileError: the file cannot be used.
            ReadOnlyTokensError: the file cannot be written.
        """
        with self._locked():
            records = self.read().records
            if not records and ADMIN not in scopes:
                raise ConflictError("the first token needs the scope admin: without one, nobody could make another")
            if len(records) >= MAX_TOKENS:
                raise ConflictError(f"there are {MAX_TOKENS:,} tokens: revoke one first")
            new = make_token(name, scopes, days)
            self._write([*records, new.record])
        log.info("token created", token=new.record.id, name=name, scopes=scopes)
        return new

    def revoke(self, identity: str, *, may_be_last: bool) -> None:
        """Remove a token.

        Args:
            may_be_last: whether the only token may be removed. The gateway then serves without tokens.

        Raises:
            NotFoundError: there is no such token.
            ConflictError: it is the last one with the scope admin, and others would remain; or it is the only one.
            DamagedTokenFileError: the file cannot be used.
            ReadOnlyTokensError: the file cannot be written.
        """
        with self._locked():
            table = self.read()
            kept = [record for record in table.records if record.id != identity]
            if len(kept) == len(table.records):
                raise NotFoundError(f"there is no token {identity!r}")
            if kept and not table.has_other_admin(identity, datetime.now(UTC)):
                raise ConflictError("this is the last token with the scope admin: revoke the others first")
            if not kept and not may_be_last:
                raise ConflictError("this is the only token, and without tokens only loopback is served")
            self._write(kept)
        log.info("token revoked", token=identity)

    def mark_used(self, identity: str, now_s: float) -> None:
        """Remember when a token was used. `keep_times` writes it later."""
        self._used[identity] = now_s

    def last_used(self) -> dict[str, float]:
        """Return id -> when a token was last used, in seconds since 1970, as far as it is known."""
        times = self._read_times()
        for identity, used_s in self._used.copy().items():
            times[identity] = max(used_s, times.get(identity, 0.0))
        return times

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write the times of last use from now on, until the event loop ends."""
        self._task = loop.create_task(self._keep_times())

    def write_times(self) -> None:
        """Write the times of last use that are not in their file yet. A failure is logged only."""
        used = self._used.copy()  # the event loop changes it meanwhile
        if used == self._written:
            return
        try:
            with self._locked():
                known = {record.id for record in self.read().records}
                times = self._read_times()
                merged = {**times, **{identity: max(s, times.get(identity, 0.0)) for identity, s in used.items()}}
                kept = {identity: used_s for identity, used_s in merged.items() if identity in known}
                write_atomically(self._times_path, _TIMES.dump_json(kept), mode=FILE_MODE)
                self._written = used
        except ReadOnlyTokensError:
            self._written = used  # only this process knows the times, and there is nothing to repair
        except (OSError, DamagedTokenFileError) as error:
            log.warning("the times of last use cannot be written", reason=str(error))

    async def _keep_times(self) -> None:
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                await asyncio.to_thread(self.write_times)
        finally:
            self.write_times()

    def _refresh(self) -> None:
        """Read the file if it is not the one that was read last."""
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        except FileNotFoundError:
            seen = None
        except OSError:
            seen = (0, 0, 0)
        if seen == self._seen and self._table is not None:
            return
        try:
            self._table, self._seen = self.read(), seen
        except DamagedTokenFileError as error:
            if self._table is not None or seen != self._seen:
                log.error("nobody is let in", reason=str(error))
            self._table, self._seen = None, seen

    def _read_times(self) -> dict[str, float]:
        try:
            return _TIMES.validate_json(self._times_path.read_bytes())
        except (OSError, ValidationError):
            return {}

    def _write(self, records: list[StoredToken]) -> None:
        write_atomically(self._path, TokenFile(tokens=records).model_dump_json().encode(), mode=FILE_MODE, sync=True)
        self._checked_s = float("-inf")  # this process looks at once

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which the files are written, in any process.

        Raises:
            ReadOnlyTokensError: this process may not write them.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_CREAT | os.O_RDWR, FILE_MODE)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            raise ReadOnlyTokensError(
                f"the gateway may not write {self._path.name}: whoever runs it changes the tokens (docs/kubernetes.md)"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
