"""HTTP server: aiohttp answers some routes itself; Flask, in a thread pool, answers the rest.

The prediction routes run on the event loop, because waking a thread costs more than a small prediction (ADR 10). Health
checks do, because they must not wait for a thread. A handler must not block the loop for more than a few milliseconds:
`run_in_thread` takes longer work. Request ids, metrics, logs and problem documents are made here, once for both kinds
of route. This module knows no route.

Limits: of connections in `connections.py`, of bodies in `body_reader.py`, of JSON in the gateway's
`routes/request_bodies.py`, of forms in its `routes/uploads.py`, and of pictures in `shared/data/images.py` and
`decode_budget.py`.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import cast

import structlog
import uvloop
from aiohttp import web
from flask import Flask

from shared.heap import freeze_heap, limit_collection
from shared.logs import REQUEST_ID, begin_request, configure_logs
from shared.process import raise_file_limit
from shared.settings import Settings
from shared.web.body_reader import BodyReader, HeldBytes
from shared.web.complete_requests import CompleteRequest
from shared.web.connections import ConnectionLimits, LimitedServer
from shared.web.fair_accept import FairSite
from shared.web.gate import CALLER, AnsweredByGate, Caller, Gate, OpenGate
from shared.web.malformed_requests import MAX_HEADER_BYTES
from shared.web.problems import problem_of
from shared.web.process_slots import SharedConnections
from shared.web.route_table import Destination, RouteTable
from shared.web.routes import BufferedRequest, Route, run_in_thread
from shared.web.security_headers import SECURITY_HEADERS, DefaultHeaders
from shared.web.server_connection import ServerConnection, finish_response, response_of
from shared.web.server_processes import ALIVE_S, BACKLOG
from shared.web.spooled_bodies import IS_CONNECTED, SPOOLED_BODY, BodySpooler
from shared.web.streams import OpenStreams, StreamedResponse
from shared.web.unix_sockets import listen_on_unix_socket
from shared.web.wsgi_bridge import UNKNOWN_ROUTE, call_flask, environ_of, install_route_names

STOP_TIMEOUT_S = 5  # for requests that are being answered when the server is told to stop
DRAIN_TIMEOUT_S = 15  # for open connections when another process takes this one's place
DRAIN_POLL_S = 0.05  # how often a server that another process replaces looks whether it has connections
LOOP_THREADS = 16  # for `run_in_thread` without an executor; some wait for Redis or for the disk

log = structlog.get_logger()


class HttpServer:
    """Answers each request by a route of the event loop, or by Flask.

    Args:
        app: answers every path that no route matches.
        threads: how many requests Flask works on at once.
        on_start: called with the event loop once it runs.
        bodies: reads request bodies.
        gate: decides which requests are let in; by default all.
        connections: the limits of connections.
        headers: of each response, unless its route sets them itself. A server that no browser reaches needs none.
        shared_connections: of all processes that accept connections from the same sockets, if there are several.
        spooler: receives the bodies of a route of Flask's into files.
    """

    def __init__(
        self,
        app: Flask,
        routes: Sequence[Route],
        threads: int,
        on_start: Callable[[asyncio.AbstractEventLoop], None] | None = None,
        bodies: BodyReader | None = None,
        gate: Gate | None = None,
        connections: ConnectionLimits | None = None,
        headers: Mapping[str, str] = SECURITY_HEADERS,
        shared_connections: SharedConnections | None = None,
        spooler: BodySpooler | None = None,
    ) -> None:
        self._app, self._routes, self._on_start = app, RouteTable(routes), on_start
        self._default_headers = DefaultHeaders(headers)
        self._gate = gate or OpenGate()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="flask")
        self._bodies, self._spooler = bodies or BodyReader(), spooler
        self._connection_limits = connections or ConnectionLimits()
        self._shared_connections = shared_connections
        self._is_draining = False
        self._streams = OpenStreams()
        install_route_names(app)

    async def serve(
        self,
        host: str,
        port: int,
        listeners: Sequence[socket.socket] = (),
        on_alive: Callable[[], None] | None = None,
        socket_path: Path | None = None,
    ) -> None:
        """Serve until SIGTERM or SIGINT.

        After SIGHUP, another process takes this one's place: accept no more connections, close each open connection
        behind its next response, and return when none is left, at the latest after DRAIN_TIMEOUT_S.

        Args:
            host: the address to listen on.
            port: the port to listen on.
            listeners: sockets that listen already, in place of host and port.
            on_alive: called when connections are accepted, and then every second while the event loop runs.
            socket_path: where to listen on a Unix socket as well.
        """
        loop, stop, drain = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        if listeners:
            loop.add_signal_handler(signal.SIGHUP, drain.set)
        loop.set_default_executor(ThreadPoolExecutor(LOOP_THREADS, thread_name_prefix="loop"))
        if self._on_start:
            self._on_start(loop)
        server = LimitedServer(
            self._respond,
            partial(
                ServerConnection,
                find_destination=self._find_destination,
                answer=self._respond_to_complete,
                default_headers=self._default_headers,
            ),
            self._connection_limits,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=STOP_TIMEOUT_S)
        await runner.setup()
        sites: list[web.BaseSite]
        if (shared := self._shared_connections) is not None:
            sites = [FairSite(runner, listener, shared, lambda: len(server.connections)) for listener in listeners]
        else:
            sites = [web.SockSite(runner, listener, backlog=BACKLOG) for listener in listeners]
        for site in sites or [web.TCPSite(runner, host, port, backlog=BACKLOG)]:
            await site.start()
        if socket_path:
            await listen_on_unix_socket(runner, socket_path)
        _repeat(loop, limit_collection)
        if on_alive:
            _repeat(loop, on_alive)
        events = [loop.create_task(event.wait()) for event in (stop, drain)]
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
        self._streams.end_all()
        if drain.is_set():
            await self._drain(runner, server, stop)
        for event in events:
            event.cancel()
        await runner.cleanup()

    async def _drain(self, runner: web.ServerRunner, server: web.Server, stop: asyncio.Event) -> None:
        """Accept no more connections, and wait until the open ones are closed or the server is told to stop."""
        self._is_draining = True
        for site in runner.sites:
            await site.stop()
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + DRAIN_TIMEOUT_S
        while server.connections and not stop.is_set() and loop.time() < deadline_s:
            await asyncio.sleep(DRAIN_POLL_S)

    def _find_destination(self, method: str, target: str) -> Destination | None:
        """Return the route of the event loop that answers a complete request, or None if aiohttp has to pass it on."""
        if self._is_draining:
            return None  # aiohttp closes the connection behind the response
        return self._routes.find(method, target)

    async def _respond_to_complete(self, request: CompleteRequest, destination: Destination) -> web.Response:
        """Do as `_respond`, for a request that one of the event loop's routes answers."""
        started = perf_counter()
        begin_request(request.headers.get(REQUEST_ID, ""))
        route, path_values, path, query = destination
        try:
            caller = self._gate.admit(request, route.scope)
            buffered = BufferedRequest(path, path_values, query, request.headers, request.body, caller)
            found = await route.handler(buffered)
            assert isinstance(found, web.Response)  # `find` leaves requests for streams to aiohttp
            response = found
        except Exception as error:
            response = _response_to(error, path)
        if self._is_draining:
            response.force_close()
        self._gate.complete(request, response)
        return finish_response(response, path, route.rule, route.method, started)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request: set its id, record its metrics, and turn errors into problem documents."""
        started = perf_counter()
        begin_request(request.headers.get(REQUEST_ID, ""))
        rule, held = UNKNOWN_ROUTE, HeldBytes()
        response: web.StreamResponse
        try:
            route, path_values = self._routes.match(request.method, request.path)
            rule = route.rule if route else UNKNOWN_ROUTE
            spooler = self._spooler if not route and self._spooler and self._spooler.receives(request) else None
            caller = self._gate.admit(request, route.scope if route else spooler.scope if spooler else None)
            if spooler:
                async with spooler.receive(request) as file:
                    environ = {
                        **environ_of(request, b""),
                        CALLER: caller,
                        SPOOLED_BODY: file,
                        IS_CONNECTED: lambda: request.transport is not None,
                    }
                    rule, response = await run_in_thread(self._threads, call_flask, self._app, environ)
            elif route:
                body = await self._bodies.read(request, caller, held)
                response = await route.handler(_buffered(request, path_values, body, caller))
            else:
                body = await self._bodies.read(request, caller, held)
                environ = {**environ_of(request, body), CALLER: caller}
                rule, response = await run_in_thread(self._threads, call_flask, self._app, environ)
        except Exception as error:
            response = _response_to(error, request.path)
            if not request.content.is_eof():  # the rest of the body is not read
                response.force_close()
        finally:
            self._bodies.release(held)
        if self._is_draining:
            response.force_close()
        # Clients can make up any number of methods, so only those of known routes become labels of metrics.
        method = request.method if rule != UNKNOWN_ROUTE else UNKNOWN_ROUTE
        self._gate.complete(request, response)
        self._default_headers.add_to(response.headers)
        finish_response(response, request.path, rule, method, started)
        if isinstance(response, StreamedResponse):
            await self._streams.send(request, cast(ServerConnection, request.protocol), response)
        return response


def serve(
    load: Callable[[], HttpServer],
    settings: Settings,
    port: int,
    listeners: Sequence[socket.socket] = (),
    on_alive: Callable[[], None] | None = None,
    socket_path: Path | None = None,
) -> None:
    """Make a server and run it until the process is told to stop.

    Args:
        load: makes the server.
        settings: the address to listen on, and the format of the logs.
        port: the port to listen on.
        listeners: sockets that listen already, in place of address and port.
        on_alive: called when connections are accepted, and then every second while the event loop runs.
        socket_path: where to listen on a Unix socket as well.
    """
    configure_logs(settings.logs)
    log.info("starting", listens_on=f"{settings.bind_host}:{port}")
    raise_file_limit()
    server = load()
    freeze_heap()
    uvloop.run(server.serve(settings.bind_host, port, listeners, on_alive, socket_path))


def _buffered(request: web.BaseRequest, path_values: dict[str, str], body: bytes, caller: Caller) -> BufferedRequest:
    query = request.rel_url.raw_query_string
    return BufferedRequest(request.path, path_values, query, request.headers, body, caller)


def _repeat(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function now, and then every ALIVE_S seconds."""
    function()
    loop.call_later(ALIVE_S, _repeat, loop, function)


def _response_to(error: Exception, path: str) -> web.Response:
    """Return the response to a request whose handling raised an error."""
    return error.response if isinstance(error, AnsweredByGate) else response_of(problem_of(error, path))
