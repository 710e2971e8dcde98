"""A server's door: an event loop that answers a few routes by itself, and hands everything else to Flask.

A thread that is woken for one picture costs more than all that it does for it
(ADR 10), and so does Flask. So the paths that programs take for one picture
end in the loop. Whatever else there is, or is amiss with one of them, goes to
a thread and Flask's way, and is told there.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from time import perf_counter
from typing import Any

from flask import Flask
from werkzeug.wrappers import Response

from shared.errors import TandemError, UnavailableError
from shared.server import observe, problem_response
from shared.telemetry import REQUEST_ID, begin_request, request_id

HELD_BYTES = 256 * 2**20  # of all bodies that are being worked on

# What a route's handler gets: the match of its path, Granian's scope, the body. What it gives: headers and a body;
# or None, or an error, and Flask is asked.
Handler = Callable[[re.Match[str], Any, bytes], Awaitable[tuple[dict[str, str], bytes] | None]]
Answer = tuple[int, list[tuple[str, str]], bytes]


class Front:
    """An RSGI application before Flask's.

    Args:
        direct: POST routes that the loop answers: a pattern of their path, and their handler, by Flask's name for them.
        threads: how many requests Flask works on at once.
        on_loop: told of the loop, once it runs.
    """

    def __init__(
        self,
        app: Flask,
        direct: dict[str, tuple[str, Handler]],
        threads: int,
        on_loop: Callable[[asyncio.AbstractEventLoop], object] = id,
    ) -> None:
        self._app, self.__rsgi_init__ = app, on_loop
        self._direct = [(route, re.compile(path), handler) for route, (path, handler) in direct.items()]
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="flask")
        self._held = 0

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        length = scope.headers.get("content-length", "0")
        # What Flask refuses for its length is not read.
        is_read = length.isdecimal() and int(length) <= self._app.config["MAX_CONTENT_LENGTH"]
        size = int(length) if is_read and "transfer-encoding" not in scope.headers else 0
        if self._held + size > HELD_BYTES:
            protocol.response_bytes(*_answer(problem_response(503, "Unavailable", "too much is being sent at once")))
            return
        self._held += size
        try:
            body = await protocol() if size else b""
            protocol.response_bytes(*(await self._by_loop(scope, body) or await self._by_flask(scope, body)))
        finally:
            self._held -= size

    async def _by_loop(self, scope: Any, body: bytes) -> Answer | None:
        """An answer that is as it should be, or 503; None of anything else."""
        matches = ((route, path.fullmatch(scope.path), handler) for route, path, handler in self._direct)
        chosen = next((entry for entry in matches if entry[1]), None)
        if not chosen or scope.method != "POST":
            return None
        begun, (route, found, handler) = perf_counter(), chosen
        begin_request(scope.headers.get(REQUEST_ID.lower(), ""))
        try:
            answer = await handler(found, scope, body)  # type: ignore[arg-type] # a match, as it was chosen
            if answer is None:
                return None
            status, headers, body = 200, [*answer[0].items(), (REQUEST_ID, request_id())], answer[1]
        except UnavailableError as error:  # to ask again would double the wait
            status, headers, body = _answer(problem_response(error.status, error.title, str(error)))
        except (TandemError, ValueError, LookupError):
            return None
        observe(scope.path, route, "POST", status, perf_counter() - begun)
        return status, headers, body

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
