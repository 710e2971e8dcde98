"""The gateway's API over HTTP, as the command line uses it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

TIMEOUT_S = 30
POLL_S = 0.2
FINAL = ("succeeded", "failed", "cancelled")


class ClientError(Exception):
    """The gateway refused, or does not answer; the message is for a person."""


class Client:
    """A session with one gateway."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, json=body)

    def predict(self, model: str, picture: Path) -> Any:
        """Post a picture file, as a browser's form would."""
        with picture.open("rb") as file:
            return self._call("POST", "/v1/predictions", params={"model": model}, files={"image": file})

    def follow(self, path: str, show: Callable[[Any], object] = lambda _: None) -> Any:
        """Poll long work until it has ended, showing each answer.

        Raises:
            ClientError: it did not succeed.
        """
        while True:
            work = self.get(path)
            show(work)
            if work["status"] in FINAL:
                break
            time.sleep(POLL_S)
        if work["status"] != "succeeded":
            runs = work.get("runs") or work.get("results") or {work["model"]["backend"]: work}
            reasons = [f"{backend}: {run['error']}" for backend, run in runs.items() if run["error"]]
            raise ClientError(f"{path} {work['status']}: {'; '.join(reasons)}")
        return work

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._session.request(method, self.url + path, timeout=TIMEOUT_S, **arguments)
        except requests.RequestException as error:
            raise ClientError(f"{self.url} does not answer ({type(error).__name__}): is Tandem up?") from None
        try:
            body = answer.json()
        except ValueError:
            raise ClientError(f"{self.url}{path} answered {answer.status_code}, and no JSON") from None
        if not answer.ok:
            raise ClientError(body.get("detail", f"{path} answered {answer.status_code}"))
        return body
