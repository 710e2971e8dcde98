"""Answers that several resources give alike."""

from typing import Any

from flask import Response, make_response

POLL_AFTER_S = 1


def accepted(location: str, body: dict[str, Any]) -> Response:
    """202: the work is queued, and `location` is where to look for it."""
    response = make_response(body, 202)
    response.headers["Location"] = location
    response.headers["Retry-After"] = str(POLL_AFTER_S)
    return response
