"""Posts images over a fixed number of HTTP connections and records what happened to each query.

Each connection has its own thread. This module does not decide when a query is sent: `generator.py` does.
"""

import http.client
import re
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple
from urllib.parse import urlsplit

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
        status: HTTP status, or CONNECTION_FAILED, TIMED_OUT or NOT_SENT.
        server_timing: value of the Server-Timing header, or an empty string.
    """

    query: int
    sent_s: float
    done_s: float
    status: int
    server_timing: str


class Sender:
    """Sends queries in order of issue, each as soon as a connection is free.

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
    ) -> None:
        """Start one thread per connection.

        Args:
            url: where images are posted, with its query string.
            headers: of every request.
            images: PNG files; a query names one by its index.
            connections: how many requests can be under way at once.
            give_up_at_s: queries that are still waiting at this time are not sent; seconds of `time.perf_counter`.
            on_complete: called with a query's token, in the connection's thread, when the query has its outcome.
        """
        self.issued_s: list[float] = []
        self.had_free_connection: list[bool] = []
        self.outcomes: list[QueryOutcome] = []
        self._url = urlsplit(url)
        self._headers = {**headers, "Content-Type": "image/png"}
        self._connections = connections
        self._images = images
        self._give_up_at_s = give_up_at_s
        self._on_complete = on_complete
        self._waiting: SimpleQueue[tuple[int, int, int]] = SimpleQueue()  # query, token, index of the image
        for _ in range(connections):
            threading.Thread(target=self._send_queries, daemon=True).start()

    def issue(self, token: int, image_index: int, now_s: float) -> None:
        """Queue one query; return at once.

        Args:
            token: identifies the query in the call of `on_complete`.
            image_index: index of the image that is posted.
            now_s: the time of issue; seconds of `time.perf_counter`.
        """
        query = len(self.issued_s)
        self.had_free_connection.append(query - len(self.outcomes) < self._connections)
        self.issued_s.append(now_s)
        self._waiting.put((query, token, image_index))

    def _send_queries(self) -> None:
        host, port = self._url.hostname or "", self._url.port
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_TIMEOUT_S)
        while True:
            query, token, image_index = self._waiting.get()
            sent_s = time.perf_counter()
            if sent_s > self._give_up_at_s:
                status, server_timing = NOT_SENT, ""
            else:
                status, server_timing = self._post(connection, self._images[image_index])
            self.outcomes.append(QueryOutcome(query, sent_s, time.perf_counter(), status, server_timing))
            self._on_complete(token)

    def _post(self, connection: http.client.HTTPConnection, image: bytes) -> tuple[int, str]:
        try:
            path = f"{self._url.path}?{self._url.query}"
            connection.request("POST", path, image, self._headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.headers.get("Server-Timing", "")
        except TimeoutError:
            connection.close()
            return TIMED_OUT, ""
        except (OSError, http.client.HTTPException):
            connection.close()
            return CONNECTION_FAILED, ""


def parse_server_timing(header: str) -> list[float]:
    """Return the duration in milliseconds of each of TIMING_PARTS; nan for a part that the header does not name."""
    durations = dict(re.findall(r"(\w+);dur=([\d.]+)", header))
    return [float(durations.get(part, "nan")) for part in TIMING_PARTS]
