"""Garbage collections of a server: which objects they visit, and that garbage is freed in the end."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from shared import heap


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    gc.unfreeze()
    assert gc.isenabled()


class Node:
    """An object that refers to itself, so that only a garbage collection can remove it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_became_garbage_after_a_freeze_is_collected_by_the_next_one() -> None:
    node = Node()
    watched = weakref.ref(node)
    heap.freeze_heap()
    del node
    gc.collect()
    assert watched() is not None, "the object was exempt from this collection"
    heap.freeze_heap()
    assert watched() is None


def test_what_was_made_while_loading_is_exempt_afterwards() -> None:
    with heap.loading():
        assert not gc.isenabled()
        with heap.loading():
            made = [Node() for _ in range(100)]
        assert not gc.isenabled(), "the outer context has not ended"
    assert gc.isenabled()
    remaining = {id(found) for found in gc.get_objects()}
    assert not remaining & {id(node) for node in made}


def test_loading_in_two_threads_ends_with_the_last_one() -> None:
    begun, finish = threading.Event(), threading.Event()

    def load() -> None:
        with heap.loading():
            begun.set()
            assert finish.wait(10)

    thread = threading.Thread(target=load)
    thread.start()
    assert begun.wait(10)
    with heap.loading():
        pass
    assert not gc.isenabled()
    finish.set()
    thread.join()
    assert gc.isenabled()


def test_an_error_while_loading_ends_it() -> None:
    with pytest.raises(ValueError, match="broken"), heap.loading():
        raise ValueError("broken")
    assert gc.isenabled()


def test_a_heap_that_grows_stays_small_for_collections() -> None:
    heap.freeze_heap()
    kept = []
    for _ in range(10):
        kept.append([Node() for _ in range(heap.FREEZE_AT)])
        gc.collect()  # the objects have now survived, and count as old
        heap.limit_collection()
        assert len(gc.get_objects(generation=2)) < heap.FREEZE_AT


def test_exempt_garbage_is_freed_when_it_has_doubled_the_heap() -> None:
    heap.freeze_heap()
    first = Node()
    watched = weakref.ref(first)
    old = gc.get_freeze_count()
    kept = [Node() for _ in range(heap.FREEZE_AT)]
    gc.collect()
    heap.limit_collection()
    del first
    assert watched() is not None
    kept += [Node() for _ in range(old)]
    gc.collect()
    assert watched() is not None
    heap.limit_collection()
    assert watched() is None
