"""The client of an object store: large objects on slow lines, credentials, and messages that say what to change."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.object_store import PIECE_BYTES, ObjectStore, ObjectStoreError
from shared.store_credentials import find_file_credentials
from tests.object_server import ObjectServer

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


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 7])
def test_objects_of_every_size_come_back_as_they_were(store_url: str, tmp_path: Path, size: int) -> None:
    store, content = ObjectStore(store_url), os.urandom(size)
    store.put("one", content)
    assert store.get("one") == content
    (tmp_path / "sent").write_bytes(content)
    store.upload("two", tmp_path / "sent")
    store.download("two", tmp_path / "received")
    assert (tmp_path / "received").read_bytes() == content


def test_a_slow_line_takes_long_and_does_not_fail(
    object_server: ObjectServer, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(PIECE_BYTES + 1000)
    with slow_line(object_server.url) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        ObjectStore(store_url).put("large", content)
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.url)
    assert ObjectStore(store_url).get("large") == content


def test_a_bucket_that_does_not_exist_is_named_also_by_a_write(object_server: ObjectServer) -> None:
    store = ObjectStore("s3://no-such-bucket-here/models")
    with pytest.raises(ObjectStoreError, match="bucket"):
        list(store.list("models"))


def test_an_empty_variable_means_its_default(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.setenv(name, "")
    store = ObjectStore(store_url)
    store.put("x", b"1")
    assert store.get("x") == b"1"
    assert "AWS_SESSION_TOKEN" not in os.environ


@pytest.mark.parametrize("address", ["localhost:9000", "x", "//x"])
def test_an_address_without_a_scheme_is_refused(store_url: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(ObjectStoreError, match="AWS_ENDPOINT_URL must begin with"):
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
