"""Reads server-sent events. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import json
from collections.abc import Iterator
from typing import Any

from urllib3 import BaseHTTPResponse

EVENT_STREAM = "text/event-stream"
MAX_BYTES = 64 * 2**20  # of one event; more is an error of the server


def read_events(response: BaseHTTPResponse) -> Iterator[Any]:
    """Yield the JSON of each event's data as soon as the event is complete.

    Comments, names and numbers of events are skipped. So is data that is not the JSON of a job.

    Raises:
        urllib3.exceptions.HTTPError: the connection broke.
    """
    data: list[bytes] = []
    for line in _read_lines(response):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            job = _parse(b"\n".join(data))
            if isinstance(job, dict) and "status" in job:
                yield job
            data = []


def _read_lines(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the complete lines of a response without their ends."""
    rest = b""
    while len(rest) < MAX_BYTES and (block := response.read1()):
        *lines, rest = (rest + block).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines)


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
