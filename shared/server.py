"""What gateway and predictors have in common as Flask's applications.

An id and a time for each request, and problem documents for every error,
Flask's own included. It knows no route and no framework; what is in front of
it is `shared/front.py`.
"""

import json
import time

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, generate_latest
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException

from shared.errors import TandemError, UnavailableError, problem
from shared.telemetry import REQUEST_ID, begin_request, request_id

RETRY_AFTER_S = 2
SLOW_S = 1.0
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # bounds of histograms
PICTURES = (1, 2, 4, 8, 16, 32, 64)
REQUESTS = Histogram("tandem_request_duration_seconds", "To its answer", ["route", "method", "status"], buckets=SECONDS)

log = structlog.get_logger()


def problem_response(status: int, title: str, detail: str) -> Response:
    """An RFC 9457 answer; 503 says when to come again."""
    response = Response(json.dumps(problem(status, title, detail)), status, mimetype="application/problem+json")
    if status == UnavailableError.status:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def instrument(app: Flask) -> None:
    """Give each request an id, time it, and log it if it takes long: a line for each would slow the many short ones."""

    @app.before_request
    def begin() -> None:
        g.begun = time.perf_counter()
        begin_request(request.headers.get(REQUEST_ID, ""))

    @app.after_request
    def end(response: Response) -> Response:
        route, method = (request.url_rule.rule, request.method) if request.url_rule else ("other", "other")
        observe(request.path, route, method, response.status_code, time.perf_counter() - g.begun)
        response.headers[REQUEST_ID] = request_id()
        return response


def observe(path: str, route: str, method: str, status: int, seconds: float) -> None:
    """Count an answer, by its route, as what clients make up is endless; and log a slow one."""
    REQUESTS.labels(route, method, f"{status // 100}xx").observe(seconds)
    if seconds > SLOW_S:
        log.warning("slow", path=path, status=status, seconds=round(seconds, 3))


def exposition(*more: Collector) -> Response:
    """This process' metrics, and those of `more`, as Prometheus reads them."""
    text = b"".join(generate_latest(source) for source in (REGISTRY, *more))
    return Response(text, content_type=CONTENT_TYPE_LATEST)


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
