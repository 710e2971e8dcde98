"""The gateway's door: an event loop that answers tensors by itself, and hands everything else to Flask.

A thread that is woken for one picture costs more than all that it does for it
(ADR 10). So requests to infer wait in the loop, where the lines are; whatever
else there is, or is amiss with one of them, goes to a thread, and Flask's way.
"""

import asyncio
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from time import perf_counter
from typing import Any

from flask import Flask
from werkzeug.wrappers import Response

from services.gateway import inference
from services.gateway.app import MAX_BODY_BYTES
from services.gateway.context import Context
from shared.errors import TandemError, UnavailableError
from shared.server import observe, problem_response
from shared.telemetry import REQUEST_ID, begin_request, request_id

THREADS = 16  # most wait for a backend or for Redis
DIRECT_BYTES = 64 * 2**10  # of a body that the loop reads itself: a larger one would hold the others up
HELD_BYTES = 256 * 2**20  # of all bodies that are being worked on
INFER = re.compile(r"/v2/models/([^/:]+)(?:/versions/([0-9]{1,9}))?/infer")
INFER_ROUTE = "/v2/models/<name>/infer"

Answer = tuple[int, list[tuple[str, str]], bytes]


class Front:
    """An RSGI application before Flask's."""

    def __init__(self, app: Flask, context: Context) -> None:
        self._app, self._context = app, context
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="flask")
        self._held = 0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._context.predictors.loop = loop

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        length = scope.headers.get("content-length", "0")
        # What Flask refuses for its length is not read.
        is_read = length.isdecimal() and int(length) <= MAX_BODY_BYTES and "transfer-encoding" not in scope.headers
        size = int(length) if is_read else 0
        if self._held + size > HELD_BYTES:
            protocol.response_bytes(*_answer(problem_response(503, "Unavailable", "too much is being sent at once")))
            return
        self._held += size
        try:
            body = await protocol() if size else b""
            protocol.response_bytes(*(await self._direct(scope, body) or await self._by_flask(scope, body)))
        finally:
            self._held -= size

    async def _direct(self, scope: Any, body: bytes) -> Answer | None:
        """The answer to a request to infer that is as it should be, or 503; None of any other."""
        found = INFER.fullmatch(scope.path)
        if not found or scope.method != "POST" or len(body) > DIRECT_BYTES or "content-encoding" in scope.headers:
            return None
        begun = perf_counter()
        begin_request(scope.headers.get(REQUEST_ID.lower(), ""))
        try:
            version = int(found[2]) if found[2] else None
            length = scope.headers.get(inference.LENGTH.lower())
            status, (head, answer) = 200, await inference.direct(self._context, found[1], version, body, length)
            headers = [*head.items(), (REQUEST_ID, request_id())]
        except UnavailableError as error:  # to ask again would double the wait
            status, headers, answer = _answer(problem_response(error.status, error.title, str(error)))
        except (TandemError, ValueError, LookupError):
            return None
        observe(scope.path, INFER_ROUTE, "POST", status, perf_counter() - begun)
        return status, headers, answer

    async def _by_flask(self, scope: Any, body: bytes) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask_flask, scope, body)

    def _ask_flask(self, scope: Any, body: bytes) -> Answer:
        return _answer(Response.from_app(self._app, _environ(scope, body), buffered=True))


def _answer(response: Response) -> Answer:
    return response.status_code, response.headers.to_wsgi_list(), response.get_data()


def _environ(scope: Any, body: bytes) -> dict[str, Any]:
    """A request as PEP 3333 has it."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
