"""A client of an object store with the protocol S3, in which models and datasets may lie instead of on a shared disk.

It adds three things to the library obstore: bounds in time, errors that say what to change, and a check that a process
does not use the client of its parent. The library is imported when the first client is made, so that nobody else pays
for it. It reads the usual variables itself: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and others.
"""

import configparser
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import structlog

from shared.errors import UnavailableError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Credential, S3Store

CONNECT_S, STALL_S, REQUEST_S = 2, 5, 120
"""Seconds to connect, without a byte received, and for a whole request: large files take long but never stop."""
RETRIES = 3
RETRY_WITHIN_S = 10
"""A request is repeated for errors of the server and of the network, and not after so many seconds."""
CREDENTIALS_KEPT_S = 300  # the file with the credentials is read again, because an operator may replace it
PIECE_BYTES = 4 * 2**20
LISTED_AT_ONCE = 1000  # what S3 returns per request

log = structlog.get_logger()


class ObjectStoreError(UnavailableError, OSError):
    """The object store does not answer, or refuses the request.

    It is an `OSError`, because most callers write to a disk or to an object store and handle the errors of both.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.strerror = message


class StoredObject(NamedTuple):
    """What a listing says about an object.

    Attributes:
        key: its name, without the store's prefix.
        tag: changes when the object is replaced.
        size: bytes.
        modified_s: when it was written, in seconds since 1970.
    """

    key: str
    tag: str
    size: int
    modified_s: float


class ObjectStore:
    """The objects below a prefix of a bucket. Several threads may use it.

    A process must not use a store if the process that forked it has used one: it would wait for ever for threads of
    the library, which a fork does not have. `get`, `put` and the others raise RuntimeError then. A process that forks
    others calls `run_in_child` instead.

    Args:
        url: `s3://bucket/prefix`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: S3Store | None = None

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises:
            FileNotFoundError: there is no such object.
            ObjectStoreError: the store does not answer.
        """
        try:
            return self._open().get(key).bytes().to_bytes()
        except Exception as error:
            raise self._describe(error, "read") from None

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of an older one. When this returns, every reader gets the new content.

        Raises:
            ObjectStoreError: the store does not answer. The object may have been written.
        """
        try:
            self._open().put(key, data)
        except Exception as error:
            raise self._describe(error, "write") from None

    def download(self, key: str, path: Path) -> None:
        """Write the content of an object into a file, piece by piece.

        Raises:
            FileNotFoundError: there is no such object.
            ObjectStoreError: the store does not answer.
            OSError: the file cannot be written.
        """
        with open(path, "wb") as file:
            try:
                pieces = self._open().get(key).stream(min_chunk_size=PIECE_BYTES)
                for piece in pieces:
                    file.write(piece)
            except Exception as error:
                if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                    raise
                raise self._describe(error, "read") from None

    def upload(self, key: str, path: Path) -> None:
        """Write an object with the content of a file. Nobody sees a part of it.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        try:
            self._open().put(key, path)
        except Exception as error:
            raise self._describe(error, "write") from None

    def create(self, key: str, data: bytes) -> None:
        """Write an object if there is none of this name. Of several writers, exactly one succeeds.

        Raises:
            FileExistsError: there is one. It may be this writer's own: the answer to an earlier request was lost.
            ObjectStoreError: the store does not answer. The object may have been written.
        """
        try:
            self._open().put(key, data, mode="create")
        except Exception as error:
            raise self._describe(error, "write") from None

    def delete(self, *keys: str) -> None:
        """Delete objects. It is no error if there are none.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        for key in keys:  # one by one: not every store deletes several at once
            try:
                self._open().delete(key)
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self._describe(error, "delete") from None

    def list(self, folder: str) -> Iterator[StoredObject]:
        """Yield the objects whose names begin with `folder/`.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        try:
            for found in self._open().list(folder, chunk_size=LISTED_AT_ONCE):
                for entry in found:
                    modified_s = entry["last_modified"].timestamp()
                    # Without a tag from the server, time and size have to do.
                    tag = entry["e_tag"] or f"{modified_s}:{entry['size']}"
                    yield StoredObject(entry["path"], tag, entry["size"], modified_s)
        except Exception as error:
            raise self._describe(error, "list") from None

    def exists(self, key: str) -> bool:
        """Return whether there is an object of this name.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        try:
            self._open().head(key)
        except FileNotFoundError:
            return False
        except Exception as error:
            raise self._describe(error, "read") from None
        return True

    def _open(self) -> "S3Store":
        """Return this process' client. The library is imported, and the client is made, when it is first used."""
        _check_not_forked()
        if self._client is None:
            from obstore.store import S3Store

            bucket, prefix = _split_url(self.url)
            retries: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_WITHIN_S)}
            client: ClientConfig = {
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=STALL_S),
                "timeout": timedelta(seconds=REQUEST_S),
                # The library forgets this variable when it gets options.
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
            }
            self._client = S3Store(
                bucket,
                prefix=prefix or None,
                client_options=client,
                retry_config=retries,
                credential_provider=_credentials_of_file(),
            )
        return self._client

    def _describe(self, error: Exception, verb: str) -> Exception:
        """Return the error to raise for an error of the library. What the library says goes to the log only."""
        from obstore import exceptions

        if isinstance(error, RuntimeError):
            return error
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError("there is no such object")
        if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
            return FileExistsError("the object exists")
        first_line = str(error).split("\n", 1)[0]
        log.warning("the object store failed", store=self.url, attempted=verb, reason=first_line[:500])
        is_refused = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        if is_refused or "403 Forbidden" in first_line:
            return ObjectStoreError(
                f"the object store refuses to {verb}: check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) "
                "and what they may do in the bucket of TANDEM_MODEL_STORE"
            )
        if "NoSuchBucket" in str(error):
            return ObjectStoreError("the object store has no bucket of the name in TANDEM_MODEL_STORE: create it")
        return ObjectStoreError(
            "the object store does not answer: try again in a moment; if that does not help, check AWS_ENDPOINT_URL, "
            "the bucket in TANDEM_MODEL_STORE, and the network"
        )


_using_process = 0  # the process that uses the library


def _check_not_forked() -> None:
    """Note that this process uses the library.

    Raises:
        RuntimeError: the process that has forked this one used it before.
    """
    global _using_process  # noqa: PLW0603 - the library's threads are global, too
    if _using_process not in (0, os.getpid()):
        raise RuntimeError("this process was forked from one that has used an object store")
    _using_process = os.getpid()


@lru_cache
def open_object_store(url: str) -> ObjectStore:
    """Return this process' client of a store, which all its users share. Nothing connects before it is used."""
    return ObjectStore(url)


def cache_folder(folder: Path, url: str) -> Path:
    """Return the folder for copies of what a store has. Another store has another folder.

    What Tandem wrote to `folder` itself before lies beside it, and is neither shown nor changed.
    """
    return folder / ".store" / hashlib.sha256(url.encode()).hexdigest()[:16]


def _split_url(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.strip("/")


class _FileCredentials:
    """Reads the credentials from the file that Amazon's tools use. The library asks again when they expire."""

    def __init__(self, path: Path, profile: str) -> None:
        self._path, self._profile = path, profile

    def __call__(self) -> "S3Credential":
        entries = configparser.ConfigParser()
        entries.read_string(self._path.read_text())
        profile = entries[self._profile]
        found: S3Credential = {
            "access_key_id": profile["aws_access_key_id"],
            "secret_access_key": profile["aws_secret_access_key"],
            "token": profile.get("aws_session_token"),
            "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIALS_KEPT_S),
        }
        return found


def _credentials_of_file() -> _FileCredentials | None:
    """Return the credentials of a file, or None if the library finds credentials elsewhere.

    As in Amazon's tools, the variables come before the file.
    """
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(named) if named else Path("~/.aws/credentials").expanduser()
    if "AWS_ACCESS_KEY_ID" in os.environ or not path.is_file():
        return None
    return _FileCredentials(path, os.environ.get("AWS_PROFILE", "default"))
