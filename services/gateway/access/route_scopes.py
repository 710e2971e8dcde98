"""What each route of the Flask application takes: a route without a declared scope is an error at start."""

import re
from collections.abc import Iterable, Mapping
from typing import cast

from flask import Flask, request
from flask_openapi3 import APIBlueprint
from werkzeug.routing import Rule

from services.gateway.access.gate import require_scope
from services.gateway.scopes import PUBLIC, Requirement, accepted_scopes
from shared.web.gate import CALLER, Caller

METHODS = ("GET", "POST", "PUT", "DELETE")
UNKNOWN_CALLER = Caller("")  # of a request that did not come through the server: it may do nothing

Requirements = Mapping[tuple[str, str], Requirement]  # (path as OpenAPI writes it, method) -> what a client needs


def declared_requirements(resources: Iterable[APIBlueprint]) -> dict[tuple[str, str], Requirement]:
    """Return what the operations of some resources declare as their `security`.

    Raises:
        ValueError: an operation declares nothing.
    """
    found = {}
    for resource in resources:
        for path, item in resource.paths.items():
            for method in METHODS:
                if operation := getattr(item, method.lower()):
                    if not operation.security:
                        raise ValueError(f"{method} {path} declares no scope: pass `security` to its decorator")
                    found[path, method] = cast(Requirement, operation.security)
    return found


def public_paths(requirements: Requirements) -> list[str]:
    """Return the paths that everybody may ask.

    Raises:
        ValueError: one of them has a placeholder.
    """
    paths = [path for (path, _), security in requirements.items() if security == PUBLIC]
    for path in paths:
        if "{" in path:
            raise ValueError(f"{path} is public: the path of a public route may have no placeholder")
    return paths


def install_scopes(app: Flask, requirements: Requirements) -> None:
    """Check the scope of each request before its route answers.

    Args:
        app: the application with all its routes.
        requirements: what each route takes.

    Raises:
        ValueError: a route is missing in `requirements`.
    """
    for rule in app.url_map.iter_rules():
        for method in set(METHODS) & (rule.methods or set()):
            if (_path_of(rule), method) not in requirements:
                raise ValueError(f"{method} {rule.rule} declares no scope")
    accepted = {place: accepted_scopes(security) for place, security in requirements.items() if security != PUBLIC}
    public = {place for place, security in requirements.items() if security == PUBLIC}

    @app.before_request
    def check_scope() -> None:
        method = "GET" if request.method == "HEAD" else request.method
        place = (_path_of(request.url_rule) if request.url_rule else "", method)
        if place not in public:
            # A path that no route matches, and OPTIONS, need any token.
            require_scope(current_caller(), accepted.get(place, frozenset()))


def current_caller() -> Caller:
    """Return who sent the request that Flask is answering."""
    caller = request.environ.get(CALLER, UNKNOWN_CALLER)
    assert isinstance(caller, Caller)
    return caller


def _path_of(rule: Rule) -> str:
    """Return a rule's path as OpenAPI writes it: `/v1/models/{name}`."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
