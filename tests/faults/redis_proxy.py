"""A proxy in front of Redis that loses replies: Redis carries out a command, and its client never hears of it."""

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType

from shared.settings import Settings
from tests.faults.target import redis_address


class RedisProxy:
    """Listens on a Unix socket from the beginning of a `with` block to its end.

    Args:
        settings: those of the stack whose Redis is behind the proxy.
        path: where the socket is made.

    Attributes:
        dropped: how many replies were lost.
    """

    def __init__(self, settings: Settings, path: Path) -> None:
        self._kind, self._address = redis_address(settings)
        self._path, self._lock = path, threading.Lock()
        self._word: bytes | None = None
        self._sockets: list[socket.socket] = []
        self.dropped = 0

    def drop_next_reply_to(self, word: bytes) -> None:
        """Lose the reply to the next command that contains a word, and close its connection."""
        with self._lock:
            self._word = word

    def __enter__(self) -> "RedisProxy":
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for each in self._sockets:
            _close(each)
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX if self._kind == "unix" else socket.AF_INET)
                server.connect(self._address)
                self._sockets += [client, server]
                loses = threading.Event()
                threading.Thread(target=self._forward, args=(client, server, loses), daemon=True).start()
                threading.Thread(target=self._reply, args=(client, server, loses), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        """Pass on commands. One with the word makes the connection lose its next reply."""
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                with self._lock:
                    if self._word and self._word in data:
                        self._word = None
                        loses.set()
                server.sendall(data)
        _close(client, server)

    def _reply(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if loses.is_set():
                    self.dropped += 1
                    break
                client.sendall(data)
        _close(client, server)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
