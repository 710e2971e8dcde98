"""A client of an object store with the protocol S3, in which models and datasets may lie instead of on a shared disk.

It adds three things to the library obstore: bounds in time, errors that say what to change, and a check that a process
does not use the client of its parent. The library is imported when the first client is made, so that nobody else pays
for it. It reads the usual variables itself: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and others.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import structlog

from shared.errors import UnavailableError
from shared.store_credentials import find_file_credentials

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Store

CONNECT_S, STALL_S, SEND_S, REQUEST_S = 2, 5, 60, 120
"""Seconds to connect; without a byte received; to send a piece, during which no byte is received; and for a whole
request."""
RETRIES = 3
RETRY_WITHIN_S = 10
"""A request is repeated for errors of the server and of the network, and not after so many seconds."""
PIECE_BYTES = 5 * 2**20  # large files are read and written in pieces, so that a slow line does not end a request
SENT_AT_ONCE = 2
SMALL_BYTES = SENT_AT_ONCE * PIECE_BYTES * STALL_S // SEND_S
"""What is sent in STALL_S on the slowest line on which the pieces of a large object are sent in SEND_S: 175 kB/s."""
REFUSED = ("403 Forbidden", "ExpiredToken", "InvalidToken")  # the two tokens come with the status 400
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
        self._clients: dict[float, S3Store] = {}  # by the seconds that they wait for a byte

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises:
            FileNotFoundError: there is no such object.
            ObjectStoreError: the store does not answer.
        """
        return b"".join(self._read_pieces(key))

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of an older one. When this returns, every reader gets the new content.

        Raises:
            ObjectStoreError: the store does not answer. The object may have been written.
        """
        self._write(key, data, len(data))

    def download(self, key: str, path: Path) -> None:
        """Write the content of an object into a file, piece by piece.

        Raises:
            FileNotFoundError: there is no such object.
            ObjectStoreError: the store does not answer.
            OSError: the file cannot be written.
        """
        with open(path, "wb") as file:
            for piece in self._read_pieces(key):
                file.write(piece)

    def upload(self, key: str, path: Path) -> None:
        """Write an object with the content of a file. Nobody sees a part of it.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        self._write(key, path, path.stat().st_size)

    def create(self, key: str, data: bytes) -> None:
        """Write an object if there is none of this name. Of several writers, exactly one succeeds.

        Raises:
            FileExistsError: there is one. It may be this writer's own: the answer to an earlier request was lost.
            ObjectStoreError: the store does not answer. The object may have been written.
        """
        try:
            self._open().put(key, data, mode="create")
        except Exception as error:
            raise self._describe(error, "create") from None

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

    def _read_pieces(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object. Each piece of a large one is a request of its own."""
        try:
            found = self._open().get(key)
            size = found.meta["size"]
            if size <= PIECE_BYTES:
                yield found.bytes().to_bytes()
                return
            del found  # ends this request: the answer would be received beside the pieces
            for start in range(0, size, PIECE_BYTES):
                yield self._open().get_range(key, start=start, end=min(start + PIECE_BYTES, size)).to_bytes()
        except Exception as error:
            raise self._describe(error, "read") from None

    def _write(self, key: str, content: bytes | Path, size: int) -> None:
        try:
            client = self._open(SEND_S if size > SMALL_BYTES else STALL_S)
            client.put(key, content, chunk_size=PIECE_BYTES, max_concurrency=SENT_AT_ONCE)
        except Exception as error:
            raise self._describe(error, "write") from None

    def _open(self, stall_s: float = STALL_S) -> "S3Store":
        """Return this process' client. The library is imported, and the client is made, when it is first used.

        Args:
            stall_s: seconds without a byte received.
        """
        _check_not_forked()
        if stall_s not in self._clients:
            from obstore.store import S3Store

            _prepare_variables()
            address = urlsplit(self.url)
            retries: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_WITHIN_S)}
            client: ClientConfig = {
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=stall_s),
                "timeout": timedelta(seconds=REQUEST_S),
                # The library forgets this variable when it gets options.
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
            }
            self._clients[stall_s] = S3Store(
                address.netloc,
                prefix=address.path.strip("/") or None,
                client_options=client,
                retry_config=retries,
                credential_provider=find_file_credentials(),
            )
        return self._clients[stall_s]

    def _describe(self, error: Exception, verb: str) -> Exception:
        """Return the error to raise for an error of the library. What the library says goes to the log only."""
        from obstore import exceptions

        if isinstance(error, RuntimeError | ObjectStoreError):
            return error
        text = str(error)
        found = re.search(r"<Code>(\w+)</Code>", text)
        code = found[1] if found else ""  # what the server calls the error
        if code == "NoSuchBucket":
            return ObjectStoreError("the object store has no bucket of the name in TANDEM_MODEL_STORE: create it")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError("there is no such object")
        if verb == "create" and isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
            return FileExistsError("the object exists")
        reason = " ".join((text.split("\n", 1)[0][:500], code))
        log.warning("the object store failed", store=self.url, attempted=verb, reason=reason)
        is_refused = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        return ObjectStoreError(_explain(reason, is_refused or any(word in reason for word in REFUSED), verb))


def _explain(reason: str, is_refused: bool, verb: str) -> str:
    """Return what a client is told about an error: what to change."""
    if is_refused:
        return (
            f"the object store refuses to {verb}: check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_SESSION_TOKEN) and what they may do in the bucket of TANDEM_MODEL_STORE"
        )
    # The library's words for a 301, with which Amazon answers in a region that does not have the bucket.
    if "Received redirect without LOCATION" in reason or "400 Bad Request" in reason:
        return (
            f"the object store does not accept the request to {verb}: check that AWS_REGION is the region of the "
            "bucket, and that AWS_ENDPOINT_URL belongs to it"
        )
    return (
        "the object store does not answer: try again in a moment; if that does not help, check AWS_ENDPOINT_URL, "
        "the bucket in TANDEM_MODEL_STORE, and the network"
    )


def _prepare_variables() -> None:
    """Remove empty variables, for which the library has no defaults: Compose sets variables that the user has not.

    Raises:
        ObjectStoreError: AWS_ENDPOINT_URL is no address. The library would not raise an `Exception` for it.
    """
    for name in [name for name, value in os.environ.items() if name.startswith("AWS_") and not value]:
        del os.environ[name]
    if not _is_address(os.environ.get("AWS_ENDPOINT_URL", "https://amazon")):
        raise ObjectStoreError(
            "AWS_ENDPOINT_URL must be an address such as https://example.org or http://172.17.0.1:9000"
        )


def _is_address(url: str) -> bool:
    """Return whether a URL names a server."""
    try:
        parts = urlsplit(url)
        is_named = bool(re.fullmatch(r"[\w.:-]+", parts.hostname or "")) and parts.port != 0
    except ValueError:  # a port that is no number, or a bracket without its pair
        return False
    return is_named and parts.scheme in ("http", "https") and not re.search(r"\s", url)


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
