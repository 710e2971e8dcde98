"""Fixtures of the unit tests."""

import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.object_server import BUCKET, ObjectServer, running_object_server
from tests.unit.models.store_proxy import StoreProxy, store_proxy
from tests.unit.names import Names


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """Yield a running object store."""
    with running_object_server(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture
def store_url(object_server: ObjectServer) -> str:
    """Return the address of an empty object store."""
    return f"s3://{BUCKET}/{uuid4().hex}"


@pytest.fixture
def proxy(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreProxy]:
    """Yield a proxy before the object store. Clients that are made in this test use it."""
    with store_proxy(object_server.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Yield the names of hosts that only this test knows."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.is_answering.set()
