"""Keeps reports and figures that were drawn. Drawing one takes up to a second, and what it shows rarely changes."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock

from pydantic import BaseModel

MAX_KEPT_BYTES = 16 * 2**20


class DrawnReports:
    """The newest drawn reports of this process. Any thread may use it."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[bytes, bytes] = OrderedDict()  # digest of what is shown -> the report
        self._size = 0
        self._lock = Lock()

    def find_or_draw(self, what: str, shown: BaseModel, draw: Callable[[], str | bytes]) -> bytes:
        """Return a report. It is drawn unless the same report of the same content is kept.

        Args:
            what: which report, such as `loadtest html`.
            shown: everything that the report shows.
            draw: draws it.
        """
        key = blake2b(f"{what}\0{shown.model_dump_json()}".encode(), digest_size=16).digest()
        with self._lock:
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key]
        report = draw()
        content = report.encode() if isinstance(report, str) else report
        with self._lock:
            if key not in self._drawn and len(content) <= MAX_KEPT_BYTES:
                self._drawn[key] = content
                self._size += len(content)
            while self._size > MAX_KEPT_BYTES:
                _, dropped = self._drawn.popitem(last=False)
                self._size -= len(dropped)
        return content
