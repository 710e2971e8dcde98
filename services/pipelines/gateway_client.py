"""A client of the gateway's public API that outlives restarts of the gateway, of Redis and of the backends.

A request that was not answered, or was answered with 503, is sent again until the gateway answers. A submission carries
an Idempotency-Key, so it may be sent again as well: the gateway then answers with the work that it submitted first.
"""

import time
from typing import Any

import numpy as np
import requests
import structlog
from numpy.typing import NDArray
from safetensors.numpy import load

from shared.data.splits import Split
from shared.errors import TandemError, UnavailableError

TIMEOUT_S = 120.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
PATIENCE_S = 900.0  # how long the gateway may be away
TRY_AGAIN = (408, 429, 502, 503, 504)
# Of the last one, a part of the answer has arrived: the gateway ended while it sent it.
NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

log = structlog.get_logger()


class RefusedError(TandemError):
    """The gateway refused a request.

    Attributes:
        status: the HTTP status of its answer.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class GatewayClient:
    """Asks the gateway.

    Args:
        url: the gateway's URL.
        credential: the text of a token, or of a service's credential.
        patience_s: after so many seconds without an answer a request fails.
    """

    def __init__(self, url: str, credential: str, patience_s: float = PATIENCE_S) -> None:
        self._url = url.rstrip("/")
        self._patience_s = patience_s
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy cannot reach the gateway
        self._session.headers["Authorization"] = f"Bearer {credential}"

    def get(self, path: str) -> Any:
        """Return a JSON body.

        Raises:
            RefusedError: the gateway refuses the request.
            UnavailableError: the gateway did not answer for `patience_s` seconds.
        """
        return self._send("GET", path).json()

    def post(
        self, path: str, body: object = None, idempotency_key: str | None = None, patience_s: float | None = None
    ) -> Any:
        """Send a JSON body, and return the answer's; raises as `get`.

        Args:
            path: of the request.
            body: JSON-able; None sends no body.
            idempotency_key: makes it safe to send a submission again.
            patience_s: the patience with this request, if it is another one than the client's.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._send("POST", path, patience_s, json=body, headers=headers).json()

    def put(self, path: str, body: object, idempotency_key: str | None = None) -> Any:
        """Send a JSON body, and return the answer's; arguments and errors as those of `post`."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._send("PUT", path, json=body, headers=headers).json()

    def get_bytes(self, path: str) -> bytes:
        """Return the content of a file; raises as `get`."""
        return self._send("GET", path).content

    def read_split(self, dataset: str, split: str) -> Split:
        """Return a whole split of a dataset; raises as `get`."""
        images: list[NDArray[np.uint8]] = []
        labels: list[NDArray[np.int64]] = []
        first, total = 0, 1
        while first < total:
            response = self._send("GET", f"/v1/datasets/{dataset}/arrays/{split}.safetensors?first={first}")
            total = int(response.headers["X-Total"])
            arrays = load(response.content)
            images.append(arrays["images"])
            labels.append(arrays["labels"])
            first += len(arrays["labels"])
        return Split(np.concatenate(images), np.concatenate(labels))

    def _send(self, method: str, path: str, patience_s: float | None = None, **arguments: Any) -> requests.Response:
        patience_s = self._patience_s if patience_s is None else patience_s
        pause_s, deadline = FIRST_PAUSE_S, time.monotonic() + patience_s
        while True:
            try:
                response = self._session.request(method, self._url + path, timeout=TIMEOUT_S, **arguments)
                if response.ok:
                    return response
                if response.status_code not in TRY_AGAIN:
                    raise RefusedError(response.status_code, _detail_of(response))
                problem = _detail_of(response)
            except NO_ANSWER as error:
                problem = f"{type(error).__name__}: the gateway does not answer"
            if time.monotonic() >= deadline:
                raise UnavailableError(f"{method} {path}: {problem}")
            log.warning("the gateway is asked again", method=method, path=path, problem=problem)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _detail_of(response: requests.Response) -> str:
    """Return what a problem document says, or the status if the body is none."""
    try:
        return str(response.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return f"HTTP status {response.status_code}"
