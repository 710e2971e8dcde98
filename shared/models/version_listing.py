"""Which versions an object store has. It is asked at most about once per second, and never by the event loop.

A registry in a folder asks the disk for each prediction, which takes microseconds. An object store takes milliseconds,
and costs money per request. So an answer is kept for KEPT_S. After REFRESH_AFTER_S it is asked for again in the
background, so that a model in use never waits. If the store fails, the last answer is used until it is back. A model
that exists is asked for by its name. For all other names, the store is asked for everything: requests for many names
that do not exist cause as many questions as requests for one.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from shared.models.cached_reads import check_may_read
from shared.names import NAME
from shared.object_store import ObjectStore, ObjectStoreError

FOLDER = "models"
REFRESH_AFTER_S, KEPT_S = 0.8, 1.8
"""Seconds after which an answer is asked for again, and after which it is not used any more while the store answers."""
PATIENCE_S = 4.0  # a request waits so long for a store that does not answer, and then goes on with what is known
MAX_ENTRIES = 4096  # names that were asked for
EVERYTHING = ""  # the entry of all models
THREADS = 2

log = structlog.get_logger()

Versions = Mapping[str, Mapping[int, str]]
"""Backend -> version -> a tag, which changes when the version is deleted and published again."""
UNKNOWN_TAG = ""
"""The tag of a version in the cache, while the store does not say whether it is still published."""

Models = Mapping[str, Versions]
"""The name of a model -> its versions."""


@dataclass(frozen=True)
class _Answer:
    """What the store said.

    Attributes:
        asked_at: when it was asked, in seconds of `time.monotonic`. The answer may be newer.
        models: name -> versions.
    """

    asked_at: float
    models: Models


class VersionListing:
    """The versions in an object store, as far as this process knows.

    Args:
        store: the store.
        list_cached: returns the models in the cache on this machine. They are used if the store has never answered.
        forget: called with the name, the backend and the number of a version that is not published any more.
    """

    def __init__(
        self, store: ObjectStore, list_cached: Callable[[], Models], forget: Callable[[str, str, int], None]
    ) -> None:
        self._store, self._list_cached, self._forget = store, list_cached, forget
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, Future[_Answer]] = {}
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._is_failing = False

    def of(self, name: str) -> Versions:
        """Return the versions of a model, which may be KEPT_S old.

        Raises:
            NotCachedError: as for `call_cached_only`.
            ObjectStoreError: the store has not answered yet, and the cache has no model.
        """
        newest, everything = self._answers.get(name), self._answers.get(EVERYTHING)
        if newest is None or (everything and everything.asked_at > newest.asked_at):
            newest = everything
        if newest and (name in newest.models or (everything and name in everything.models)):
            return self._find(name, newest).get(name, {})
        return self._find(EVERYTHING, everything).get(name, {})

    def all(self) -> Models:
        """Return the versions of every model, which may be KEPT_S old.

        Raises:
            NotCachedError: as for `call_cached_only`.
            ObjectStoreError: the store has not answered yet, and the cache has no model.
        """
        return self._find(EVERYTHING, self._answers.get(EVERYTHING))

    def clear(self) -> None:
        """Have the store asked again, because this process has changed it."""
        with self._lock:
            self._answers = {key: _Answer(float("-inf"), answer.models) for key, answer in self._answers.items()}

    def _find(self, key: str, known: _Answer | None) -> Models:
        age_s = time.monotonic() - known.asked_at if known else float("inf")
        if known and age_s < REFRESH_AFTER_S:
            return known.models
        if known and (age_s < KEPT_S or self._is_failing):
            self._ask_soon(key)
            return known.models
        check_may_read()
        asking = self._ask_soon(key)
        if self._is_failing and (cached := self._list_cached()):
            return cached
        try:
            return asking.result(PATIENCE_S if known else None).models
        except (TimeoutError, ObjectStoreError):
            self._is_failing = True
            if known:
                return known.models
            if cached := self._list_cached():
                return cached
            raise

    def _ask_soon(self, key: str) -> "Future[_Answer]":
        """Have a thread ask the store, unless one asks already."""
        with self._lock:
            asking = self._asking.get(key)
            if asking is None:
                if self._threads is None:
                    self._threads = ThreadPoolExecutor(THREADS, "version-listing")
                asking = self._asking[key] = self._threads.submit(self._ask, key)
            return asking

    def _ask(self, key: str) -> _Answer:
        # The first answer of a process tells which copies of earlier processes are not published any more. The copies
        # are listed before the store is asked: another process may copy a version that is published meanwhile.
        cached = self._list_cached() if key == EVERYTHING and EVERYTHING not in self._answers else {}
        try:
            answer = _Answer(time.monotonic(), read_models(self._store, key))
            if self._is_failing:
                log.info("the object store answers again")
            self._is_failing = False
        except ObjectStoreError:
            self._is_failing = True
            raise
        finally:
            with self._lock:
                del self._asking[key]
        with self._lock:
            if len(self._answers) >= MAX_ENTRIES:
                self._answers.clear()
            before = [self._answers.get(known) for known in {key, EVERYTHING}]
            self._answers[key] = answer
        self._forget_deleted(cached, answer.models)
        for known in filter(None, before):
            models = known.models if key == EVERYTHING else {key: known.models.get(key, {})}
            self._forget_deleted(models, answer.models)
        return answer

    def _forget_deleted(self, before: Models, now: Models) -> None:
        for name, backends in before.items():
            for backend, versions in backends.items():
                for version in versions.keys() - now.get(name, {}).get(backend, {}).keys():
                    self._forget(name, backend, version)


def read_models(store: ObjectStore, name: str = EVERYTHING) -> dict[str, dict[str, dict[int, str]]]:
    """Return name -> backend -> version -> tag for one model or for all, as the store has them now.

    Raises:
        ObjectStoreError: the store does not answer.
    """
    models: dict[str, dict[str, dict[int, str]]] = {}
    for found in store.list(f"{FOLDER}/{name}" if name else FOLDER):
        parts = found.key.split("/")
        if len(parts) != 4 or not (NAME.fullmatch(parts[1]) and NAME.fullmatch(parts[2]) and parts[3].isdecimal()):
            continue
        models.setdefault(parts[1], {}).setdefault(parts[2], {})[int(parts[3])] = found.tag
    return models
