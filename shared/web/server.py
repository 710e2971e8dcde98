"""A server's door: an event loop that answers a few routes by itself, and hands everything else to Flask.

A thread that is woken for one picture costs more than all that it does for it
(ADR 10), and so does Flask. So the paths that programs take for one picture
end in the loop. Whatever else there is, or is amiss with one of them, goes to
a thread and Flask's way, and is told there.
"""

import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
import uvloop
from aiohttp import web
from flask import Flask
from multidict import CIMultiDict
from werkzeug.wrappers import Response

from shared.errors import UnavailableError
from shared.logs import REQUEST_ID, begin_request, configure_logs, request_id
from shared.settings import Settings
from shared.web.problems import problem_response
from shared.web.request_metrics import observe

HELD_BYTES = 256 * 2**20  # of all bodies that are being worked on, but for small ones
SMALL_BYTES = 64 * 2**10
BODY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 5  # for those who still wait for an answer
BACKLOG = 1024

# What a route's handler gets: the match of its path, the request, the body. What it gives: headers and a body;
# or None, or an error, and Flask is asked.
Handler = Callable[[re.Match[str], web.BaseRequest, bytes], Awaitable[tuple[dict[str, str], bytes] | None]]

log = structlog.get_logger()


class HttpServer:
    """Answers each request, by the loop or by Flask.

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
        on_loop: Callable[[asyncio.AbstractEventLoop], None] | None = None,
    ) -> None:
        self._app, self._on_loop = app, on_loop
        self._direct = [(route, re.compile(path), handler) for route, (path, handler) in direct.items()]
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="flask")
        self._held = 0

    async def serve(self, host: str, port: int) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        if self._on_loop:
            self._on_loop(loop)
        runner = web.ServerRunner(web.Server(self._answer, access_log=None, auto_decompress=False))
        await runner.setup()
        await web.TCPSite(runner, host, port, shutdown_timeout=STOP_TIMEOUT_S, backlog=BACKLOG).start()
        await stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        length = request.headers.get("Content-Length", "0")
        # What Flask refuses for its length is not read.
        is_read = length.isdecimal() and int(length) <= self._app.config["MAX_CONTENT_LENGTH"]
        size = int(length) if is_read and "Transfer-Encoding" not in request.headers else 0
        held = size if size > SMALL_BYTES else 0
        if held and self._held + held > HELD_BYTES:
            return _from_flask(problem_response(503, "Unavailable", "too much is being sent at once"))
        self._held += held
        try:
            body = await _body_of(request) if size else b""
            return await self._by_loop(request, body) or await self._by_flask(request, body)
        except TimeoutError:  # the handlers' own end as answers
            return _from_flask(problem_response(408, "Request timeout", f"the body took over {BODY_TIMEOUT_S:g} s"))
        finally:
            self._held -= held

    async def _by_loop(self, request: web.BaseRequest, body: bytes) -> web.Response | None:
        """An answer that is as it should be, or 503; None of anything else."""
        matches = ((route, path.fullmatch(request.path), handler) for route, path, handler in self._direct)
        chosen = next((entry for entry in matches if entry[1]), None)
        if not chosen or request.method != "POST":
            return None
        begun, (route, found, handler) = perf_counter(), chosen
        begin_request(request.headers.get(REQUEST_ID, ""))
        try:
            given = await handler(found, request, body)  # type: ignore[arg-type] # a match, as it was chosen
            if given is None:
                return None
            answer = web.Response(headers={**given[0], REQUEST_ID: request_id()}, body=given[1])
        except UnavailableError as error:  # to ask again would double the wait
            answer = _from_flask(problem_response(error.status, error.title, str(error)))
        except Exception:  # whatever it is, Flask comes upon it again, and tells
            return None
        observe(request.path, route, "POST", answer.status, perf_counter() - begun)
        return answer

    async def _by_flask(self, request: web.BaseRequest, body: bytes) -> web.Response:
        environ = _environ(request, body)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask_flask, environ)

    def _ask_flask(self, environ: dict[str, Any]) -> web.Response:
        return _from_flask(Response.from_app(self._app, environ, buffered=True))


def serve(load: Callable[[], HttpServer], settings: Settings, port: int) -> None:
    """Make an application and serve it, until told to stop."""
    configure_logs(settings.logs)
    log.info("starting", address=f"http://{settings.bind_host}:{port}")
    uvloop.run(load().serve(settings.bind_host, port))


async def _body_of(request: web.BaseRequest) -> bytes:
    if request.content.is_eof():  # it came with the headers, as small ones do
        return request.content.read_nowait()
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    async with asyncio.timeout(BODY_TIMEOUT_S):
        return await request.content.read()


def _from_flask(response: Response) -> web.Response:
    return web.Response(
        status=response.status_code, headers=CIMultiDict(response.headers.to_wsgi_list()), body=response.get_data()
    )


def _environ(request: web.BaseRequest, body: bytes) -> dict[str, Any]:
    """A request as PEP 3333 has it."""
    host, port = request.transport.get_extra_info("sockname")[:2] if request.transport else ("", 0)
    path, _, query = request.raw_path.partition("?")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{request.version.major}.{request.version.minor}",
        "REMOTE_ADDR": request.remote or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
