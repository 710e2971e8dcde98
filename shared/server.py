"""What gateway and predictors have in common as HTTP servers: Flask under Granian.

One worker process that dies with its parent, and problem documents for every
error, Flask's own included. It knows no route and no framework.
"""

import json
import signal
from collections.abc import Callable
from functools import partial

import structlog
from flask import Flask, Response
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException

from shared.errors import TandemError, UnavailableError, problem
from shared.process import end_with_parent

RETRY_AFTER_S = 2

log = structlog.get_logger()


def serve(load: Callable[[], Flask], host: str, port: int, threads: int) -> None:
    """Serve an application until SIGTERM or SIGINT; a worker that dies is replaced.

    Args:
        load: makes the application, in the worker process.
        threads: how many requests are worked on at once.
    """
    server = Server(
        "tandem",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=threads,
        respawn_failed_workers=True,
        workers_kill_timeout=5,
        websockets=False,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=partial(_load_bound, load), wrap_loader=False)


def _load_bound(load: Callable[[], Flask]) -> Flask:
    """Bind the worker's life to its parent's: an orphan would keep the port."""
    end_with_parent(signal.SIGKILL)
    return load()


def problem_response(status: int, title: str, detail: str) -> Response:
    """An RFC 9457 answer; 503 says when to come again."""
    response = Response(json.dumps(problem(status, title, detail)), status, mimetype="application/problem+json")
    if status == UnavailableError.status:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def install_problems(app: Flask) -> None:
    """Turn every error into a problem document, in this one place."""

    @app.errorhandler(TandemError)
    def known(error: TandemError) -> Response:
        if error.status >= 500:
            log.error("request failed", title=error.title, reason=str(error))
        return problem_response(error.status, error.title, str(error))

    @app.errorhandler(RedisError)
    def redis_is_away(error: RedisError) -> Response:
        log.error("redis does not answer", reason=str(error))
        return problem_response(503, "Unavailable", "Redis does not answer: try again in a moment")

    @app.errorhandler(HTTPException)
    def from_flask(error: HTTPException) -> Response:
        if error.response is not None:  # an answer made on purpose, such as a redirect
            return Response(error.response.get_data(), error.response.status_code, dict(error.response.headers))  # type: ignore[attr-defined]
        response = problem_response(error.code or 500, error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        log.exception("request failed")
        return problem_response(500, "Internal error", f"{type(error).__name__}: the log says more")
