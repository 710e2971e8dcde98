"""Latencies of requests by route, as Prometheus reads them. Only the HTTP server records them, in one place."""

from functools import cache

import structlog
from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, generate_latest
from prometheus_client.registry import Collector

SLOW_S = 1.0  # a slower request is logged
SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
IMAGE_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
REQUEST_SECONDS = Histogram(
    "tandem_request_duration_seconds",
    "From the request's headers to its response",
    ["route", "method", "status"],
    buckets=SECONDS_BUCKETS,
)

log = structlog.get_logger()


def record_request(path: str, route: str, method: str, status: int, seconds: float) -> None:
    """Record a response, and log it if it was slow. A log line per request would slow the many fast ones.

    Args:
        path: as the client sent it; it is logged only, because clients can make up any number of paths.
        route: the rule that the path matches, such as `/v1/models/<name>`, or "other".
        method: of the route, or "other" where no route matches.
    """
    _histogram_of(route, method, status // 100).observe(seconds)
    if seconds > SLOW_S:
        log.warning("slow request", path=path, status=status, seconds=round(seconds, 3))


@cache
def _histogram_of(route: str, method: str, status_class: int) -> Histogram:
    """Return the histogram of a route; looking it up takes longer than observing a value."""
    return REQUEST_SECONDS.labels(route, method, f"{status_class}xx")


def metrics_response(*more: Collector) -> Response:
    """Return this server's metrics, and those of the collectors `more`, in Prometheus' text format."""
    text = b"".join(generate_latest(source) for source in (REGISTRY, *more))
    return Response(text, content_type=CONTENT_TYPE_LATEST)
