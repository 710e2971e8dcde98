"""The gateway's application: every resource under one roof, described by OpenAPI."""

from typing import Any

from flask import Response, render_template_string, request
from flask_openapi3 import Info, OpenAPI
from flask_openapi3_swagger.plugins import RegisterPlugin
from flask_openapi3_swagger.templates import swagger_html_string
from pydantic import ValidationError
from werkzeug.routing import BaseConverter

from services.gateway.context import Context
from services.gateway.routes import (
    aliases,
    certificates,
    datasets,
    evaluations,
    health,
    loadtests,
    models,
    networks,
    open_inference,
    predictions,
    repository,
    status,
    tfserving,
    trainings,
    transplants,
)
from services.gateway.routes.request_bodies import MAX_JSON_BYTES, why
from services.gateway.schemas.catalog import Problem
from services.gateway.version import VERSION
from shared.web.problems import install_problems, problem_response
from shared.web.request_metrics import instrument

MAX_BODY_BYTES = 64 * 2**20
PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
RESOURCES = (
    *(trainings, evaluations, certificates, loadtests, predictions, models, aliases, transplants),
    *(open_inference, repository, tfserving, networks, datasets, status, health),
)


class TitleConverter(BaseConverter):
    """A model's name in a path: a colon begins what is done with it, such as `:predict`."""

    regex = "[^/:]+"
    part_isolating = True  # it never spans two parts of a path


class BackendConverter(BaseConverter):
    """A backend's name in a path: TensorFlow Serving has `versions` in its place."""

    regex = r"(?!versions\Z)[^/]+"
    part_isolating = True


def create_app(context: Context) -> OpenAPI:
    """The public API over a context; nothing connects until a request comes."""
    app = OpenAPI(
        "gateway",
        info=Info(title="Tandem", version=VERSION, description="One network, TensorFlow and PyTorch, side by side."),
        static_folder=None,
        doc_ui=False,
        validation_error_callback=_refused,
        validation_error_model=Problem,
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.converters |= {"title": TitleConverter, "backend": BackendConverter}
    instrument(app)
    install_problems(app)
    for resource in RESOURCES:
        app.register_api(resource.routes(context))
    _install_docs(app)

    @app.before_request
    def require_length() -> Response | None:
        """A chunked body over the limit would arrive cut off and look whole."""
        if request.content_length is None and "Transfer-Encoding" in request.headers:
            return problem_response(411, "Length required", "send a Content-Length header with the body")
        if request.is_json and (request.content_length or 0) > MAX_JSON_BYTES:
            return problem_response(413, "Request entity too large", f"JSON is at most {MAX_JSON_BYTES:,} bytes")
        return None

    return app


def _refused(error: ValidationError) -> Response:
    """What pydantic refused, as a problem document that names each field."""
    if request.is_json and request.get_json(silent=True) is None:
        return problem_response(400, "Bad request", "the body is not JSON")
    return problem_response(422, "Invalid request", why(error))


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Any operation may answer a problem document, and no other error."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = PROBLEM
    components = document["components"]
    document["components"] = {name: part for name, part in components.items() if part is not None}
    return document


def _install_docs(app: OpenAPI) -> None:
    """The OpenAPI document at /openapi.json, and its page at /docs."""
    app.register_blueprint(RegisterPlugin.register(doc_url="/openapi.json"), url_prefix="")

    @app.get("/openapi.json", doc_ui=False)
    def openapi() -> Any:
        return app.json.response(_with_problems(app.api_doc))

    @app.get("/docs", doc_ui=False)
    def docs() -> str:
        return render_template_string(swagger_html_string, doc_url="/openapi.json", oauth_config=None)
