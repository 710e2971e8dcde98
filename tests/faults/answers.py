"""One HTTP request and what came back: also a connection error and a time-out are an answer here."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT_S = 30
PROBLEM_TYPE = "application/problem+json"
PROBLEM_MEMBERS = {"type", "title", "status", "detail"}  # RFC 9457, section 3.1; Tandem always sends them


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        status: the HTTP status; 0 if no response came.
        error: the kind of connection error; empty if a response came.
        seconds: how long the request took.
    """

    method: str
    path: str
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0

    @property
    def is_ok(self) -> bool:
        """Return whether the request was carried out or accepted."""
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Return whether the request was refused with a problem document."""
        return 400 <= self.status < 600 and self.is_problem

    @property
    def is_problem(self) -> bool:
        """Return whether the body is a problem document with this status."""
        if not self.headers.get("Content-Type", "").startswith(PROBLEM_TYPE):
            return False
        document = self.json()
        return isinstance(document, dict) and document.keys() >= PROBLEM_MEMBERS and document["status"] == self.status

    @property
    def is_bare(self) -> bool:
        """Return whether the server failed: a status of 500, or an error without a problem document."""
        return self.status == 500 or (self.status >= 400 and not self.is_problem)

    def json(self) -> Any:
        """Return the parsed body, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        text = self.error or f"{self.status} {self.body[:160].decode(errors='replace')}"
        return f"{self.method} {self.path}: {text}"


def ask(
    url: str,
    method: str,
    path: str,
    *,
    json: object = None,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    session: requests.Session | None = None,
) -> Answer:
    """Send a request and return its answer. It raises nothing for a server that does not answer.

    Args:
        url: the server's URL, without a path.
        json: a body to send as JSON.
        data: a body to send as it is.
        session: keeps its connections open; by default each request has its own.
    """
    own = session or requests.Session()
    own.trust_env = False  # a proxy cannot reach a loopback address of this machine
    started = time.perf_counter()
    try:
        response = own.request(method, url + path, json=json, data=data, headers=headers, timeout=timeout_s)
        body = response.content
    except requests.Timeout:
        return Answer(method, path, 0, error=f"no response within {timeout_s:g} s", seconds=timeout_s)
    except requests.RequestException as error:
        reason = "connection refused" if "refused" in str(error) else f"connection error {type(error).__name__}"
        return Answer(method, path, 0, error=reason, seconds=time.perf_counter() - started)
    finally:
        if session is None:
            own.close()
    seconds = time.perf_counter() - started
    return Answer(method, path, response.status_code, body, response.headers, seconds=seconds)
