"""What a process knows of the versions in a real object store, and what it asks."""

import sys
import threading

import pytest

from shared.models.version_listing import VersionListing
from shared.object_store import ObjectStore
from tests.unit.models.store_proxy import StoreProxy


def store_models(url: str, *names: str) -> VersionListing:
    """Store the object of version 1 of some models, and return the listing of a process that begins."""
    store = ObjectStore(url)
    for name in names:
        store.put(f"models/{name}/pytorch/1", b"")
    return VersionListing(store, dict, lambda *_: None)


def test_names_that_do_not_exist_are_asked_for_together(proxy: StoreProxy, store_url: str) -> None:
    listing = store_models(store_url, "m")
    for number in range(100):
        assert listing.of(f"unknown-{number}") == {}
    assert list(listing.of("m")["pytorch"]) == [1]
    assert any("prefix" in path for _, path in proxy.requests)
    assert not [path for _, path in proxy.requests if "unknown" in path]


def test_a_model_that_was_published_is_found_when_the_store_is_asked_again(store_url: str) -> None:
    listing = store_models(store_url)
    assert listing.of("m") == {}
    store_models(store_url, "m")
    listing.clear()
    assert list(listing.of("m")["pytorch"]) == [1]
    ObjectStore(store_url).delete("models/m/pytorch/1")
    listing.clear()
    assert listing.of("m") == {}


def test_a_process_may_change_the_store_while_its_threads_ask_for_models(
    store_url: str, request: pytest.FixtureRequest
) -> None:
    interval_s = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(interval_s))
    sys.setswitchinterval(1e-6)  # so that the threads take turns as often as possible
    names = [f"m{number}" for number in range(100)]
    listing = store_models(store_url, *names)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend(name for name in names if listing.of(name))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        listing.clear()
    assert sorted(found) == sorted(names * 3)
