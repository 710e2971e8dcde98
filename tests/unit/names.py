"""A name server for this process: tests say which addresses a name has, and when a look-up is answered.

The C library reads the machine's own files and name server, which a test must not change.
"""

import socket
import threading
from typing import Any

LONGEST_WAIT_S = 60.0


class Names:
    """Answers look-ups in place of `socket.getaddrinfo`. Names that it does not know are looked up as usual.

    Attributes:
        addresses: of each name, in the order of the answer. A name without addresses is unknown.
        is_answering: while it is not set, look-ups of these names wait in their thread.
        is_asked: set by each look-up of these names.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.is_answering, self.is_asked = threading.Event(), threading.Event()
        self.is_answering.set()
        self._getaddrinfo = socket.getaddrinfo

    def getaddrinfo(self, host: Any, *arguments: Any, **options: Any) -> list[Any]:
        """Return the addresses of a host as `socket.getaddrinfo` does."""
        if host not in self.addresses:
            return self._getaddrinfo(host, *arguments, **options)
        self.is_asked.set()
        self.is_answering.wait(LONGEST_WAIT_S)
        if not self.addresses[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = [self._getaddrinfo(address, *arguments, **options) for address in self.addresses[host]]
        return [answer for found in answers for answer in found]
