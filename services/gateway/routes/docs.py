"""The OpenAPI document at /openapi.json, and a page that shows it at /docs.

OpenAPI does not describe these routes. The page loads Swagger UI from files of an installed package.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, make_response

from services.gateway.schemas.catalog import Problem
from services.gateway.scopes import ANY_TOKEN, Requirement
from shared.heap import loading

PAGE = Path(__file__).with_name("docs_page")
# Swagger UI sets styles from its script, and draws icons from data URIs. Scripts come from files only.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
}


def routes(describe: Callable[[], dict[str, Any]]) -> Blueprint:
    """Return the routes of this module.

    Args:
        describe: returns the OpenAPI document as flask-openapi3 makes it.
    """
    spec = find_spec("flask_openapi3_swagger")
    assert spec is not None
    assert spec.origin is not None
    files = Path(spec.origin).parent / "templates" / "swagger"
    api = Blueprint("docs", __name__, static_folder=files, static_url_path="/swagger")

    @api.get("/openapi.json")
    def openapi() -> Response:
        with loading():  # flask-openapi3 keeps what it makes
            document = describe()
        return jsonify(_completed(document))

    @api.get("/docs")
    def page() -> Response:
        response = make_response((PAGE / "index.html").read_text())
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        return response

    @api.get("/docs/start.js")
    def script() -> Response:
        return Response((PAGE / "start.js").read_text(), mimetype="text/javascript")

    return api


def requirements() -> dict[tuple[str, str], Requirement]:
    """Return (path, method) -> what a client needs, for each of these routes. Paths are written as in OpenAPI."""
    paths = ("/openapi.json", "/docs", "/docs/start.js", "/swagger/{filename}")
    return {(path, "GET"): ANY_TOKEN for path in paths}


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the problem document as every operation's only error, and without empty parts."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = PROBLEM
            operation["security"] = [alternative for alternative in operation["security"] if alternative]
    components = document["components"]
    document["components"] = {name: part for name, part in components.items() if part is not None}
    return document
