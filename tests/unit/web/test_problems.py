"""Every error of a Flask application becomes a problem document."""

import pytest
from flask import Flask, abort, redirect
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import NotFoundError
from shared.web.problems import install_problems


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("test")
    install_problems(app)

    @app.get("/known")
    def known() -> None:
        raise NotFoundError("there is no\nsuch thing")

    @app.get("/redis")
    def redis() -> None:
        raise RedisConnectionError("refused")

    @app.get("/bug")
    def bug() -> None:
        raise KeyError("a secret")

    @app.get("/moved")
    def moved() -> None:
        abort(redirect("/known"))

    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/known", 404, "there is no\nsuch thing"),
        ("GET", "/redis", 503, "Redis does not answer: try again in a moment"),
        ("GET", "/bug", 500, "KeyError: the log of the server says more"),
        ("GET", "/nowhere", 404, None),
        ("POST", "/known", 405, None),
    ],
)
def test_an_error_is_a_problem_document(
    client: FlaskClient, method: str, path: str, status: int, detail: str | None
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    body = answer.get_json(force=True)
    assert set(body) == {"type", "title", "status", "detail", "error"}
    assert detail is None or body["detail"] == detail
    assert "\n" not in body["error"]
    assert "secret" not in answer.text


def test_a_503_says_when_to_try_again(client: FlaskClient) -> None:
    assert int(client.get("/redis").headers["Retry-After"]) > 0


def test_a_405_lists_the_methods_that_are_allowed(client: FlaskClient) -> None:
    assert "GET" in client.post("/known").headers["Allow"]


def test_a_redirect_stays_a_redirect(client: FlaskClient) -> None:
    answer = client.get("/moved")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/known"
