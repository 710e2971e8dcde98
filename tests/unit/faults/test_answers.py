"""What counts as a bare error, and what as a refusal."""

import json

import pytest

from tests.faults.answers import Answer, ask

PROBLEM = {"type": "about:blank", "title": "Unavailable", "status": 503, "detail": "Redis does not answer"}
PROBLEM_HEADERS = {"Content-Type": "application/problem+json"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "is_bare", "is_refusal"),
    [
        (200, {}, b"{}", False, False),
        (503, PROBLEM_HEADERS, json.dumps(PROBLEM).encode(), False, True),
        (503, PROBLEM_HEADERS, json.dumps({**PROBLEM, "status": 500}).encode(), True, False),
        (503, {"Content-Type": "text/html"}, b"<h1>Service Unavailable</h1>", True, False),
        (500, PROBLEM_HEADERS, json.dumps({**PROBLEM, "status": 500}).encode(), True, True),
        (404, {}, b"", True, False),
        (0, {}, b"", False, False),
    ],
    ids=["success", "problem", "another status inside", "no problem", "500", "404 without a problem", "no response"],
)
def test_an_error_is_a_problem_document_or_bare(
    status: int, headers: dict[str, str], body: bytes, is_bare: bool, is_refusal: bool
) -> None:
    answer = Answer("GET", "/", status, body, headers)
    assert (answer.is_bare, answer.is_refusal) == (is_bare, is_refusal)


def test_a_server_that_does_not_listen_is_an_answer_too() -> None:
    answer = ask("http://127.0.0.1:9", "GET", "/")
    assert (answer.status, answer.error) == (0, "connection refused")
