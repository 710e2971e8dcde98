"""Errors become RFC 9457 problem documents here, for Flask's routes and for the event loop's routes alike."""

import json
from dataclasses import dataclass, field

import structlog
from flask import Flask, Response, request
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shared.errors import TandemError, problem

RETRY_AFTER_S = 2
PROBLEM_TYPE = "application/problem+json"
# What a client needs besides the document: when to try again.
HEADERS_BY_STATUS = {503: {"Retry-After": str(RETRY_AFTER_S)}}
KEPT_HEADERS = ("Accept-Encoding", "Allow", "Retry-After", "WWW-Authenticate")  # of those that Werkzeug's errors carry
# What the detail says where an error has only Werkzeug's own words.
DETAILS_BY_STATUS = {
    400: "the request is malformed",
    401: "an access token is needed",
    403: "this is not allowed",
    404: "there is no such address: /openapi.json lists all of them",
    406: "the response cannot be sent in a form that the request accepts",
    408: "the request did not arrive in time",
    411: "the request needs the header Content-Length, or a chunked body",
    413: "the body, or a part of it, is too large",
    414: "the address is too long",
    415: "the body has a media type or an encoding that is not supported here",
    416: "the requested range does not exist",
    417: "the only Expect header that is supported is 100-continue",
    422: "the request cannot be carried out",
    426: "use HTTP/1.1 without an upgrade",
    429: "too many requests: try again in a moment",
    431: "the headers are too large",
    501: "the server does not support this",
    503: "the server is busy: try again in a moment",
}

log = structlog.get_logger()


@dataclass(frozen=True)
class ProblemDocument:
    """An RFC 9457 response.

    Attributes:
        headers: without `Content-Type`.
        body: the document as JSON.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> "ProblemDocument":
        """Write a document.

        Args:
            title: the kind of problem; it also names the document's `type`.
            detail: what the client should change.
        """
        body = json.dumps(problem(status, title, detail)).encode()
        return cls(status, body, {**HEADERS_BY_STATUS.get(status, {}), **(headers or {})})


def problem_of(error: Exception, path: str) -> ProblemDocument:
    """Return the document for an error, and log the errors that an operator must see.

    Args:
        path: of the request; for the log.
    """
    if isinstance(error, TandemError):
        if error.status >= 500:
            log.error("request failed", path=path, title=error.title, reason=str(error))
        return ProblemDocument.of(error.status, error.title, str(error))
    if isinstance(error, HTTPException):
        headers = {name: value for name, value in error.get_headers() if name in KEPT_HEADERS}
        return ProblemDocument.of(error.code or 500, error.name, _detail_of(error), headers)
    if isinstance(error, RedisError):
        log.error("redis does not answer", path=path, reason=str(error))
        return ProblemDocument.of(503, "Unavailable", "Redis does not answer: try again in a moment")
    if isinstance(error, RecursionError):
        return ProblemDocument.of(400, "Bad request", "the JSON is nested too deeply")
    log.error("request failed", path=path, exc_info=error)
    return ProblemDocument.of(500, "Internal error", f"{type(error).__name__}: the log of the server says more")


def _detail_of(error: HTTPException) -> str:
    """Return an error's description in Tandem's words. Werkzeug's own is replaced."""
    if error.description and error.description != type(error).description:
        return error.description
    if isinstance(error, MethodNotAllowed):
        methods = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
        return f"the method is not allowed here: use {' or '.join(methods)}"
    return DETAILS_BY_STATUS.get(error.code or 500, "the request cannot be answered")


def install_problems(app: Flask) -> None:
    """Answer every error of a Flask application with a problem document."""

    @app.errorhandler(Exception)
    def answer(error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.response is not None:  # such as a redirect
            return Response(error.response.get_data(), error.response.status_code, dict(error.response.headers))  # type: ignore[attr-defined]
        return problem_response(problem_of(error, request.path))


def problem_response(document: ProblemDocument) -> Response:
    """Return a document as a response of Flask's."""
    return Response(document.body, document.status, document.headers, content_type=PROBLEM_TYPE)
