"""Posts images over a limited number of HTTP connections and records what happened to each query.

A query is sent in the thread that issues it if a connection is free. One other thread reads the answers and sends the
queries that waited for a connection. So a lone query needs one change of threads. This module does not decide when a
query is sent: `generator.py` does.
"""

import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from services.loadtest.connection import Address, Connection

ANSWER_TIMEOUT_S = 15.0
HTTP_OK = 200
# Used in place of an HTTP status:
CONNECTION_FAILED, TIMED_OUT, NOT_SENT, GENERATOR_DIED = 0, 1, 2, 3
TIMING_PARTS = ("total", "decode", "prepare", "queue", "hop", "compute")  # names in the Server-Timing header


class QueryOutcome(NamedTuple):
    """What happened to one query.

    Attributes:
        query: number of the query in order of issue.
        sent_s: when sending began, or when the query was given up; seconds of `time.perf_counter`.
        done_s: when the answer was complete; seconds of `time.perf_counter`.
        handling_s: how long before `done_s` the last byte of the answer arrived; 0 if there is no answer.
        status: HTTP status, or CONNECTION_FAILED, TIMED_OUT or NOT_SENT.
        server_timing: value of the Server-Timing header, or an empty string.
    """

    query: int
    sent_s: float
    done_s: float
    handling_s: float
    status: int
    server_timing: str


class _Query(NamedTuple):
    """A query in order of issue, what identifies it to LoadGen, and the index of its image."""

    number: int
    token: int
    image_index: int


class _Sent(NamedTuple):
    """A query that is under way, and when its sending began."""

    query: _Query
    sent_s: float


class Sender:
    """Sends queries in order of issue, each as soon as a connection is free.

    Connections are opened when they are needed, and kept. The one that was used last is used first.

    Attributes:
        issued_s: when each query was issued; seconds of `time.perf_counter`.
        had_free_connection: whether a connection was free when each query was issued.
        outcomes: the finished queries, in the order in which they finished.
    """

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        images: list[bytes],
        connections: int,
        give_up_at_s: float,
        on_complete: Callable[[int], None],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """Prepare the requests, and start the thread that reads the answers.

        Args:
            url: where images are posted, with its query string.
            headers: of every request.
            images: PNG files; a query names one by its index.
            connections: how many requests can be under way at once.
            give_up_at_s: queries that are still waiting at this time are not sent; seconds of `time.perf_counter`.
            on_complete: called with a query's token when the query has its outcome: in the thread that reads answers,
                or in the thread that issues, if the query cannot be sent.
            answer_timeout_s: from the sending of a query, including the time to connect, to its complete answer.
        """
        self.issued_s: list[float] = []
        self.had_free_connection: list[bool] = []
        self.outcomes: list[QueryOutcome] = []
        self._images = images
        self._heads = {size: _head_of(url, headers, size) for size in set(map(len, images))}  # by an image's size
        self._address = _find_address(url)
        self._most_connections = connections
        self._give_up_at_s = give_up_at_s
        self._on_complete = on_complete
        self._answer_timeout_s = answer_timeout_s
        self._lock = threading.Lock()  # of everything below
        self._waiting: deque[_Query] = deque()
        self._connections: dict[int, Connection] = {}  # by file descriptor
        self._idle: list[Connection] = []
        self._under_way: dict[Connection, _Sent] = {}  # in the order of sending
        self._completed: deque[int] = deque()  # tokens of which LoadGen does not yet know
        self._epoll = select.epoll()
        threading.Thread(target=self._read_answers, daemon=True).start()

    def issue(self, token: int, image_index: int, now_s: float) -> None:
        """Send one query if a connection is free, else queue it; return without waiting for anything.

        Args:
            token: identifies the query in the call of `on_complete`.
            image_index: index of the image that is posted.
            now_s: the time of issue; seconds of `time.perf_counter`.
        """
        query = _Query(len(self.issued_s), token, image_index)
        self.issued_s.append(now_s)
        with self._lock:
            is_free = bool(self._idle) or len(self._connections) < self._most_connections
            self.had_free_connection.append(is_free)
            self._waiting.append(query)
            self._send_waiting()
        self._report_completed()

    def _read_answers(self) -> None:
        """Handle what the kernel reports, in a thread of its own."""
        while True:
            events = self._epoll.poll(self._seconds_to_next_timeout())
            woken_s = time.perf_counter()
            for descriptor, event in events:
                with self._lock:
                    # Another thread may have closed the connection that this event is about.
                    if connection := self._connections.get(descriptor):
                        self._handle(connection, event, woken_s)
                self._report_completed()

    def _seconds_to_next_timeout(self) -> float:
        """Give up overdue queries; return how long the thread may wait before another one can be overdue."""
        with self._lock:
            now_s = time.perf_counter()
            while oldest := next(iter(self._under_way.items()), None):
                connection, sent = oldest
                if now_s < sent.sent_s + self._answer_timeout_s:
                    break
                self._close(connection, TIMED_OUT)
                self._send_waiting()
        self._report_completed()
        return oldest[1].sent_s + self._answer_timeout_s - now_s if oldest else self._answer_timeout_s

    def _handle(self, connection: Connection, event: int, woken_s: float) -> None:
        """Go on with a connection of which the kernel reports an event."""
        sent = self._under_way.get(connection)
        if sent is None:  # the gateway closed a connection that no query uses
            self._close(connection)
            return
        try:
            if connection.has_unsent:
                connection.continue_sending()
                if not connection.has_unsent:
                    self._epoll.modify(connection.descriptor, select.EPOLLIN)
            answer = connection.receive(woken_s) if event & ~select.EPOLLOUT else None
        except (OSError, ValueError):
            self._close(connection)
            self._send_waiting()
            return
        if answer is None:
            return
        del self._under_way[connection]
        done_s = time.perf_counter()
        handling_s = min(connection.handling_s, done_s - sent.sent_s)  # the system's clock may have been set
        self._record(sent.query, sent.sent_s, answer.status, done_s, handling_s, answer.server_timing)
        if answer.keeps_open and not connection.has_unsent:
            self._idle.append(connection)
        else:
            self._close(connection)
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send waiting queries while connections are free. Those that have waited too long are given up."""
        while self._waiting and (self._idle or len(self._connections) < self._most_connections):
            query, sent_s = self._waiting.popleft(), time.perf_counter()
            if sent_s > self._give_up_at_s:
                self._record(query, sent_s, NOT_SENT, time.perf_counter())
                continue
            try:
                connection = self._idle.pop() if self._idle else self._open()
            except OSError:
                self._record(query, sent_s, CONNECTION_FAILED, time.perf_counter())
                continue
            self._under_way[connection] = _Sent(query, sent_s)
            try:
                image = self._images[query.image_index]
                connection.send(self._heads[len(image)], image)
            except OSError:
                self._close(connection)
                continue
            if connection.has_unsent:
                self._epoll.modify(connection.descriptor, select.EPOLLIN | select.EPOLLOUT)

    def _open(self) -> Connection:
        if self._address is None:
            raise OSError("the name of the gateway's host is unknown")
        connection = Connection(self._address)
        self._connections[connection.descriptor] = connection
        self._epoll.register(connection.descriptor, select.EPOLLIN)
        return connection

    def _close(self, connection: Connection, status: int = CONNECTION_FAILED) -> None:
        """Close a connection. If a query is under way on it, the status is its outcome."""
        del self._connections[connection.descriptor]
        connection.close()
        if sent := self._under_way.pop(connection, None):
            self._record(sent.query, sent.sent_s, status, time.perf_counter())
        elif connection in self._idle:
            self._idle.remove(connection)

    def _record(
        self,
        query: _Query,
        sent_s: float,
        status: int,
        done_s: float,
        handling_s: float = 0.0,
        server_timing: str = "",
    ) -> None:
        self.outcomes.append(QueryOutcome(query.number, sent_s, done_s, handling_s, status, server_timing))
        self._completed.append(query.token)

    def _report_completed(self) -> None:
        """Call `on_complete` for each finished query. The lock is free, because LoadGen may issue the next query."""
        while True:
            try:
                token = self._completed.popleft()
            except IndexError:
                return
            self._on_complete(token)


def _head_of(url: str, headers: dict[str, str], body_bytes: int) -> bytes:
    """Return the request line and the headers of a request that posts an image."""
    parts = urlsplit(url)
    fields = {"Host": parts.netloc, **headers, "Content-Type": "image/png", "Content-Length": str(body_bytes)}
    lines = [f"POST {parts.path}?{parts.query} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _find_address(url: str) -> Address | None:
    """Return the first address of the host that accepts a connection, or else its first; None if it has none."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError:
        return None
    addresses = [Address(family, target) for family, _, _, _, target in found]
    for address in addresses if len(addresses) > 1 else ():
        with socket.socket(address.family, socket.SOCK_STREAM) as trial:
            trial.settimeout(ANSWER_TIMEOUT_S)
            if trial.connect_ex(address.target) == 0:
                return address
    return addresses[0]


def parse_server_timing(header: str) -> list[float]:
    """Return the duration in milliseconds of each of TIMING_PARTS; nan for a part that the header does not name."""
    durations = dict(re.findall(r"(\w+);dur=([\d.]+)", header))
    return [float(durations.get(part, "nan")) for part in TIMING_PARTS]
