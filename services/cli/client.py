"""A client of the gateway's HTTP API, for the command line, tests and benchmarks.

Responses are returned as parsed JSON. Their types are in `responses.py`, where the command line reads them.
"""

import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

TIMEOUT_S = 30
POLL_S = 0.2
NO_CONTENT = 204
FINAL = ("succeeded", "failed", "cancelled")


class ClientError(Exception):
    """The gateway refused a request or did not answer. The message is written for the user."""


class _BearerToken(AuthBase):
    """Sends a token with each request. Without it, `requests` could send a password from ~/.netrc instead."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """A session with one gateway. Connections are kept open between requests.

    Args:
        url: the gateway's URL, without a path.
        token: an access token, if the gateway requires one.

    Attributes:
        url: the same, without a slash at its end.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        if token:
            self._session.auth = _BearerToken(token)
        # A proxy cannot reach a loopback address of this machine.
        self._session.trust_env = not _is_loopback(urlsplit(self.url).hostname or "")

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
        with picture.open("rb") as file:
            return self._call("POST", "/v1/predictions", params={"model": model}, files={"image": file})

    def follow(self, path: str, show: Callable[[Any], object] = lambda _: None) -> Any:
        """Ask for a job until it has ended, and return the last response.

        Args:
            path: the job's path, such as `/v1/trainings/{id}`.
            show: called with each response.

        Raises:
            ClientError: the job failed or was cancelled, or the gateway does not answer.
        """
        while True:
            job = self.get(path)
            show(job)
            if job["status"] in FINAL:
                break
            time.sleep(POLL_S)
        if job["status"] != "succeeded":
            raise ClientError(": ".join([f"{path} {job['status']}", *_errors_of(job)]))
        return job

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._session.request(method, self.url + path, timeout=TIMEOUT_S, **arguments)
        except requests.RequestException as error:
            raise ClientError(f"{self.url} does not answer ({type(error).__name__}). Is Tandem running?") from None
        if response.status_code == NO_CONTENT:
            return None
        try:
            body = response.json()
        except ValueError:
            raise ClientError(f"{self.url}{path} answered with status {response.status_code} and no JSON") from None
        if not response.ok:
            raise ClientError(body.get("detail", f"{path} answered with status {response.status_code}"))
        return body


def _is_loopback(host: str) -> bool:
    """Return whether a host is this machine's own: `localhost` or an address such as 127.0.0.2."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _errors_of(job: Any) -> list[str]:
    """Return one line with the errors of a job's runs, or of the job itself; an empty list if there are none."""
    if job.get("error"):
        return [job["error"]]
    runs = job.get("runs") or job.get("results") or {}
    errors = [f"{backend}: {run['error']}" for backend, run in runs.items() if isinstance(run, dict) and run["error"]]
    return ["; ".join(errors)] if errors else []
