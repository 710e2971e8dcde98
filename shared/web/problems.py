"""What gateway and predictors have in common as Flask's applications.

An id and a time for each request, and problem documents for every error,
Flask's own included. It knows no route and no framework; what is in front of
it is `shared/front.py`.
"""

import json

import structlog
from flask import Flask, Response, request
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException

from shared.errors import TandemError, UnavailableError, problem

RETRY_AFTER_S = 2

log = structlog.get_logger()


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
            log.error("request failed", path=request.path, title=error.title, reason=str(error))
        return problem_response(error.status, error.title, str(error))

    @app.errorhandler(RedisError)
    def redis_is_away(error: RedisError) -> Response:
        log.error("redis does not answer", path=request.path, reason=str(error))
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
        log.exception("request failed", path=request.path)
        return problem_response(500, "Internal error", f"{type(error).__name__}: the log says more")
