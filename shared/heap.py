"""Keeps garbage collections of a server short.

Python's full collection visits every object. After the imports of a gateway there are 110,000, and after those of a
predictor 350,000: a visit takes 20 to 100 milliseconds, in which no request is answered. Python can exempt the objects
that exist from later collections ("freeze"). Then a full collection visits only the objects that came since.

    freeze_heap       after the start: collect, and exempt what remains
    loading           while modules are imported or a model is loaded: collect nothing, then exempt what was made
    limit_collection  once a second: exempt what has come since, before a collection of it takes long
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FREEZE_AT = 4_000
"""Objects that survived two collections and are not exempt. A full collection of so many takes about a millisecond."""

_lock = threading.Lock()
_loading = 0  # how many threads are within `loading`
_exempt_after_full = 0  # how many objects were exempt after the last call of `freeze_heap`


def freeze_heap() -> None:
    """Collect garbage, and exempt all objects that remain from later collections.

    It takes as long as a full collection without exemptions. Objects that were exempt before and have become garbage
    since, such as a model that was dropped, are collected.
    """
    global _exempt_after_full  # noqa: PLW0603 - a process has one heap
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _exempt_after_full = gc.get_freeze_count()


@contextmanager
def loading() -> Iterator[None]:
    """Collect no garbage within the context, and exempt all objects that exist at its end.

    It is for work that makes many objects that stay, such as a model, in any thread.
    """
    global _loading  # noqa: PLW0603
    with _lock:
        _loading += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _loading -= 1
            gc.freeze()
            if not _loading:
                gc.enable()


def limit_collection() -> None:
    """Exempt the objects that have come since the last call, if a full collection would visit FREEZE_AT or more.

    Exempt objects that became garbage in a cycle are lost memory. Therefore the heap is collected completely when twice
    as many objects are exempt as after the last time.
    """
    if len(gc.get_objects(generation=2)) < FREEZE_AT:
        return
    gc.freeze()
    if gc.get_freeze_count() > 2 * _exempt_after_full:
        freeze_heap()
