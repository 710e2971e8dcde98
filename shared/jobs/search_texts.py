"""The texts of ended jobs by which a list is searched. They never change again, so a process keeps them.

Without this cache, a search would read the complete records of up to 1,000 jobs for each page.
"""

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

MAX_KEPT = 50_000  # jobs; each takes about 400 bytes
SEPARATOR = "\0"  # no word of a search has it


class SearchTexts:
    """The searched texts of ended jobs, in lower case. Any thread may use it."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()  # by id
        self._lock = Lock()

    def find(self, identities: Iterable[str]) -> dict[str, str]:
        """Return id -> text of the jobs whose text is kept."""
        with self._lock:
            return {identity: self._texts[identity] for identity in identities if identity in self._texts}

    def keep(self, texts: dict[str, str]) -> None:
        """Keep the texts of ended jobs. The oldest ones are dropped first."""
        with self._lock:
            self._texts.update(texts)
            while len(self._texts) > MAX_KEPT:
                self._texts.popitem(last=False)
