"""Calls a Flask application with a request that aiohttp has received completely (PEP 3333)."""

import sys
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from flask import Flask, request
from multidict import CIMultiDict
from werkzeug.wrappers import Response

MATCHED_RULES = "tandem.matched_rules"  # in the environ: a list to which Flask adds the rule that matched
UNKNOWN_ROUTE = "other"


def install_route_names(app: Flask) -> None:
    """Let the bridge know which rule a request matched, before anything else can answer the request."""

    def keep_rule() -> None:
        if request.url_rule:
            request.environ.get(MATCHED_RULES, []).append(request.url_rule.rule)

    app.before_request_funcs.setdefault(None, []).insert(0, keep_rule)


def call_flask(app: Flask, environ: dict[str, Any]) -> tuple[str, web.Response]:
    """Return the rule that the request matched, or UNKNOWN_ROUTE, and Flask's response. It blocks."""
    rules: list[str] = []
    response = Response.from_app(app, {**environ, MATCHED_RULES: rules}, buffered=True)
    headers = CIMultiDict(response.headers.to_wsgi_list())
    answer = web.Response(status=response.status_code, headers=headers, body=response.get_data())
    return rules[0] if rules else UNKNOWN_ROUTE, answer


def environ_of(request: web.BaseRequest, body: bytes) -> dict[str, Any]:
    """Return a request as PEP 3333 describes it."""
    address = request.transport.get_extra_info("sockname") if request.transport else None
    host, port = address[:2] if isinstance(address, tuple) else ("", 0)  # else a Unix socket
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.rel_url.raw_path).decode("latin-1"),
        "QUERY_STRING": request.rel_url.raw_query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{request.version.major}.{request.version.minor}",
        "REMOTE_ADDR": request.remote or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **_header_variables(request),
        "CONTENT_LENGTH": str(len(body)),
    }


def _header_variables(request: web.BaseRequest) -> dict[str, str]:
    """Return the headers as CGI variables.

    A repeated header is joined (RFC 9110, section 5.3; cookies as in RFC 6265, section 5.4). A name with an
    underscore is dropped: as a variable it could not be told from the name with a hyphen, and could replace it.
    """
    variables: dict[str, str] = {}
    for name, value in request.headers.items():
        if "_" in name or name.lower() in ("content-length", "transfer-encoding"):
            continue
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ", "
        variables[key] = f"{variables[key]}{separator}{value}" if key in variables else value
    return variables
