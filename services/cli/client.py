"""A client of the gateway's HTTP API, for the command line, tests and benchmarks.

Responses are returned as parsed JSON. Their types are in `responses.py`, where the command line reads them.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from .connections import create_timeout, open_pool
from .errors import ClientError, MissingError, NotAllowedError, UnreachableError
from .event_stream import EVENT_STREAM, read_events
from .jobs_api import FINAL

__all__ = ["FINAL", "Client", "ClientError", "NotAllowedError", "UnreachableError"]

TIMEOUT_S = 30
LONG_TIMEOUT_S = 600  # of uploads, whose every picture the server checks, and of reports and figures that it draws
EVENT_TIMEOUT_S = 60  # without an event or a comment; then the connection is dead
POLL_S = 0.2
NO_CONTENT = 204
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
REDIRECTS = (301, 302, 303, 307, 308)
ADVICE = "Start Tandem with `make up` or `docker compose up`, or name its address: --url or TANDEM_URL."
WRONG_SERVER = "Is this the address of Tandem? Name another one: --url or TANDEM_URL."
LOGIN_ADVICE = "Name a token: --token-file or TANDEM_TOKEN."
TLS_ADVICE = "A server without TLS needs http://. SSL_CERT_FILE names a file of certificates to trust."


class Client:
    """A client of one gateway. Connections are kept open between requests.

    Args:
        url: the gateway's URL, without a path.
        token: an access token, if the gateway requires one.
        timeout_s: how long an answer may take, in seconds.

    Attributes:
        url: the same, without a slash at its end.
    """

    def __init__(self, url: str, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = open_pool(self.url, timeout_s)

    def get(self, path: str) -> Any:
        """Return the JSON that a path answers.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        return self._call("GET", path)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Post a JSON object to a path, and return the JSON of the response.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        return self._call("POST", path, json=body)

    def put(self, path: str, body: Mapping[str, object]) -> Any:
        """Put a JSON object to a path, and return the JSON of the response.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Delete what a path names, and return the JSON of the response, or None if it has no body.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        return self._call("DELETE", path)

    def predict(self, model: str, picture: Path) -> Any:
        """Post an image file as a form, as a browser does, and return the predictions of every backend.

        Raises:
            OSError: the file cannot be read.
            ClientError: the gateway does not answer, or answers with an error.
        """
        return self.predict_pictures({"model": model}, [(picture.name, picture.read_bytes())])

    def predict_pictures(self, query: Mapping[str, str], pictures: Sequence[tuple[str, bytes]]) -> Any:
        """Post 1 to 64 pictures as one form, and return the predictions of every backend.

        Args:
            query: the query of POST /v1/predictions, with the model.
            pictures: the name and the content of each picture.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        fields = [("image", (name, data, "application/octet-stream")) for name, data in pictures]
        return self._call("POST", f"/v1/predictions?{urlencode(query)}", fields=fields)

    def upload(self, path: str, file: IO[bytes], size: int, media_type: str) -> Any:
        """Put the content of a file to a path, and return the JSON of the response. The file is not read into memory.

        Args:
            path: the path of the request.
            file: is read from its current position to its end.
            size: how many bytes that are.
            media_type: of the content.

        Raises:
            OSError: the file cannot be read.
            ClientError: the gateway does not answer, or answers with an error.
        """
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        return self._call("PUT", path, body=file, headers=headers, timeout=create_timeout(LONG_TIMEOUT_S))

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = LONG_TIMEOUT_S,
    ) -> Iterator[BaseHTTPResponse]:
        """Send a request, and yield the response before its body is read.

        Args:
            method: GET, POST, PUT, DELETE or HEAD.
            path: the path, with the query.
            body: the content of the request.
            headers: are added to those that every request has.
            timeout_s: how long each wait for bytes may take, in seconds.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        response = self._request(
            method, path, headers, body=body, preload_content=False, timeout=create_timeout(timeout_s)
        )
        try:
            if response.status >= min(REDIRECTS):
                raise self._error_of(response.status, path, response.read(), response.headers.get("Location"))
            yield response
        except HTTPError as error:
            raise self._unreachable(error) from None
        finally:
            response.close()

    def watch(self, path: str) -> Iterator[Any]:
        """Yield each state of a job until it has ended.

        The gateway sends the states (`GET {path}/events`). A gateway that does not is asked again and again.

        Args:
            path: the job's path, such as `/v1/trainings/{id}`.

        Raises:
            ClientError: the gateway does not answer, or answers with an error.
        """
        job = self.get(path)
        yield job
        sends_events = True
        while job["status"] not in FINAL:
            if sends_events:
                sends_events = False
                for job in self._events(f"{path}/events"):
                    sends_events = True
                    yield job
                if job["status"] in FINAL:
                    return
            time.sleep(POLL_S)
            job = self.get(path)
            yield job

    def follow(self, path: str, show: Callable[[Any], object] = lambda _: None) -> Any:
        """Watch a job until it has ended, and return its last state.

        Args:
            path: the job's path, such as `/v1/trainings/{id}`.
            show: called with each state.

        Raises:
            ClientError: the job failed or was cancelled, or the gateway does not answer.
        """
        job: Any = None
        for job in self.watch(path):
            show(job)
        check_success(path, job)
        return job

    def _events(self, path: str) -> Iterator[Any]:
        """Yield the states of a job that the gateway sends, until the connection ends. None if there is no route."""
        try:
            with self.open("GET", path, headers={"Accept": EVENT_STREAM}, timeout_s=EVENT_TIMEOUT_S) as response:
                if response.headers.get("Content-Type", "").startswith(EVENT_STREAM):
                    yield from read_events(response)
        except ClientError:
            return

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._request(method, path, **arguments)
        if response.status >= min(REDIRECTS):
            raise self._error_of(response.status, path, response.data, response.headers.get("Location"))
        if response.status == NO_CONTENT:
            return None
        try:
            return json.loads(response.data)
        except ValueError:
            raise ClientError(
                f"{self.url}{path} answered with status {response.status} and no JSON. {WRONG_SERVER}"
            ) from None

    def _request(self, method: str, path: str, headers: Mapping[str, str] | None = None, **arguments: Any) -> Any:
        try:
            return self._pool.request(
                method, self.url + path, headers={**self._headers, **(headers or {})}, redirect=False, **arguments
            )
        except (HTTPError, LocationValueError, UnicodeError) as error:
            raise self._unreachable(error) from None

    def _error_of(self, status: int, path: str, body: bytes, location: str | None) -> ClientError:
        """Return the error for a response that is no success."""
        if status in REDIRECTS:
            return ClientError(f"{self.url} redirects to {location}: use that address as the URL of the server")
        kind = {NOT_FOUND: MissingError, UNAUTHORIZED: NotAllowedError, FORBIDDEN: NotAllowedError}.get(status)
        try:
            detail = str(json.loads(body)["detail"])
        except (ValueError, KeyError, TypeError):
            detail = f"{self.url}{path} answered with status {status}. {WRONG_SERVER}"
            kind = None if kind is MissingError else kind
        if status == UNAUTHORIZED:
            detail = f"{detail}. {LOGIN_ADVICE}"
        return (kind or ClientError)(detail)

    def _unreachable(self, error: Exception) -> UnreachableError:
        """Return the error for a request without a response."""
        if isinstance(error, ReadTimeoutError):
            return UnreachableError(f"{self.url} accepted the request, but did not answer in time")
        advice = TLS_ADVICE if isinstance(error, SSLError) else ADVICE
        return UnreachableError(f"{self.url} does not answer ({_reason_of(error)}). {advice}")


def _reason_of(error: Exception) -> str:
    """Return in a few words why a connection failed."""
    if isinstance(error, NameResolutionError):
        return "its name is unknown"
    if isinstance(error, NewConnectionError):
        return "nothing accepts connections there"
    if isinstance(error, ConnectTimeoutError):
        return "no connection within some seconds"
    if isinstance(error, SSLError):
        return f"TLS: {error}"
    return type(error).__name__


def check_success(path: str, job: Any) -> None:
    """Check that a job that has ended has succeeded.

    Raises:
        ClientError: it failed or was cancelled. The message has the reasons.
    """
    if job["status"] != "succeeded":
        ending = "was cancelled" if job["status"] == "cancelled" else job["status"]
        raise ClientError(": ".join([f"{path} {ending}", *_errors_of(job)]))


def _errors_of(job: Any) -> list[str]:
    """Return one line with the errors of a job's runs, or of the job itself; an empty list if there are none."""
    if job.get("error"):
        return [job["error"]]
    runs = job.get("runs") or job.get("results") or {}
    errors = [f"{backend}: {run['error']}" for backend, run in runs.items() if isinstance(run, dict) and run["error"]]
    return ["; ".join(errors)] if errors else []
