"""The command line's client tells why a job failed, whatever kind of job it was."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from services.cli.client import Client, ClientError


@contextmanager
def gateway_that_answers(body: Any) -> Iterator[str]:
    """Serve a body at every path; yield the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        log_message: Callable[..., None] = lambda *_: None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({"status": "failed", "runs": {"a": {"error": "broken"}, "b": {"error": None}}}, "failed: a: broken"),
        ({"status": "failed", "results": {"a": {"error": "broken"}}}, "failed: a: broken"),
        ({"status": "failed", "model": "m", "results": {}, "error": "too slow"}, "failed: too slow"),
        ({"status": "failed", "model": {"backend": "a"}, "error": "gone"}, "failed: gone"),
        ({"status": "cancelled", "model": "m", "results": {"a": []}, "error": None}, "cancelled$"),
    ],
    ids=["training", "evaluation", "load test", "deletion", "cancelled load test"],
)
def test_a_job_that_did_not_succeed_is_an_error_with_its_reason(job: dict, reason: str) -> None:
    with gateway_that_answers(job) as url, pytest.raises(ClientError, match=reason):
        Client(url).follow("/v1/jobs/1")


def test_a_job_that_succeeded_is_returned() -> None:
    with gateway_that_answers({"status": "succeeded"}) as url:
        assert Client(url).follow("/v1/jobs/1") == {"status": "succeeded"}
