"""Request ids, latencies and the Prometheus page, the same for every route."""

import time

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, generate_latest
from prometheus_client.registry import Collector

from shared.logs import REQUEST_ID, begin_request, request_id

log = structlog.get_logger()

SLOW_S = 1.0


SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # bounds of histograms


PICTURES = (1, 2, 4, 8, 16, 32, 64)


REQUESTS = Histogram("tandem_request_duration_seconds", "To its answer", ["route", "method", "status"], buckets=SECONDS)


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
