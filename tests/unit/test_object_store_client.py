"""The client of an object store: large objects on slow lines, credentials, and messages that say what to change."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.object_store import PIECE_BYTES, ObjectStore, ObjectStoreError
from shared.store_credentials import find_file_credentials
from tests.object_server import ObjectServer
from tests.unit.models.store_proxy import StoreProxy

SLOW_BYTES_PER_S = 700_000  # a piece takes longer than the client waits for an answer


@contextmanager
def slow_line(url: str) -> Iterator[str]:
    """Forward connections to a server, and let only some bytes per second pass in each direction. Yield the address."""
    target = (urlsplit(url).hostname, urlsplit(url).port)

    def forward(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(16_384):
                time.sleep(len(data) / SLOW_BYTES_PER_S)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(target)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=forward, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def refusing_store(status: int, code: str) -> Iterator[str]:
    """Run a server that answers every request as Amazon answers in an error. Yield its address."""
    error = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(error)))
            self.end_headers()
            self.wfile.write(error)

        do_PUT = do_GET  # noqa: N815

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}"
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 7])
def test_objects_of_every_size_come_back_as_they_were(store_url: str, tmp_path: Path, size: int) -> None:
    store, content = ObjectStore(store_url), os.urandom(size)
    store.put("one", content)
    assert store.get("one") == content
    (tmp_path / "sent").write_bytes(content)
    store.upload("two", tmp_path / "sent")
    store.download("two", tmp_path / "received")
    assert (tmp_path / "received").read_bytes() == content


def test_a_large_object_is_read_in_pieces(proxy: StoreProxy, store_url: str, tmp_path: Path) -> None:
    """A request for all of it would end after REQUEST_S, and an uploaded dataset may have a gigabyte."""
    store, content = ObjectStore(store_url), os.urandom(2 * PIECE_BYTES + 7)
    store.put("large", content)
    proxy.requests.clear()
    store.download("large", tmp_path / "received")
    assert (tmp_path / "received").read_bytes() == content
    assert [method for method, _ in proxy.requests] == ["GET"] * len(["its size", "first", "second", "third piece"])


@pytest.mark.parametrize("size", [PIECE_BYTES, PIECE_BYTES + 1000])
def test_a_slow_line_takes_long_and_does_not_fail(
    object_server: ObjectServer, store_url: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    content = os.urandom(size)
    with slow_line(object_server.url) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        ObjectStore(store_url).put("large", content)
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.url)
    assert ObjectStore(store_url).get("large") == content


def test_a_bucket_that_does_not_exist_is_named(object_server: ObjectServer) -> None:
    store = ObjectStore("s3://no-such-bucket-here/models")
    with pytest.raises(ObjectStoreError, match="has no bucket of the name"):
        list(store.list("models"))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (301, "PermanentRedirect", "check that AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "check that AWS_REGION"),
        (400, "ExpiredToken", "AWS_SESSION_TOKEN"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (404, "NoSuchBucket", "has no bucket of the name"),  # the tests' store makes a bucket for a write
        (409, "OperationAborted", "try again"),
    ],
)
def test_an_answer_of_amazon_names_what_to_change(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, status: int, code: str, message: str
) -> None:
    with refusing_store(status, code) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = ObjectStore("s3://bucket/models")
        with pytest.raises(ObjectStoreError, match=message):
            store.get("x")
        with pytest.raises(ObjectStoreError, match=message):
            store.put("x", b"1")


def test_an_empty_variable_means_its_default(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", os.environ["AWS_ENDPOINT_URL"])  # the library's other name of the variable
    for name in ("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "")
    store = ObjectStore(store_url)
    store.put("x", b"1")
    assert store.get("x") == b"1"
    assert "AWS_SESSION_TOKEN" not in os.environ


@pytest.mark.parametrize(
    "address", ["localhost:9000", "x", "//x", "https://", "http://x:y", "http://x:0", "http://[::1", "http://a b"]
)
def test_what_is_no_address_is_refused(store_url: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(ObjectStoreError, match="AWS_ENDPOINT_URL must be an address"):
        ObjectStore(store_url).get("x")


def test_credentials_come_from_a_file_if_it_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert find_file_credentials() is None
    keys_of_default = "aws_access_key_id = a\naws_secret_access_key = 50%(x)s%%\naws_session_token =\n"
    file.write_text(f"[default]\n{keys_of_default}\n[sso]\nsso_session = s\n")
    found = find_file_credentials()
    assert found
    keys = found()
    assert (keys["access_key_id"], keys["secret_access_key"], keys["token"]) == ("a", "50%(x)s%%", None)
    for profile in ("sso", "unknown"):  # the library then asks for the roles of the machine
        monkeypatch.setenv("AWS_PROFILE", profile)
        assert find_file_credentials() is None
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    assert find_file_credentials() is None
