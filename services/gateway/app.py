"""The gateway's server and its Flask application: every resource's routes, and the OpenAPI document of all."""

from typing import Any

from flask import Response, make_response, render_template_string, request
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
    open_inference_models,
    predictions,
    status,
    tfserving,
    trainings,
    transplants,
)
from services.gateway.routes.event_loop import PLACEHOLDERS, EventLoopBlueprint
from services.gateway.routes.request_bodies import MAX_JSON_BYTES, JsonParser, why
from services.gateway.schemas.catalog import Problem
from services.gateway.version import VERSION
from shared.web.problems import ProblemDocument, install_problems, problem_response
from shared.web.server import HttpServer

FLASK_THREADS = 16  # most of them wait for a predictor or for Redis
EVENT_LOOP_ROUTES = "event_loop_routes"  # the key of the application's extension that holds them
PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
RESOURCES = (
    *(trainings, evaluations, certificates, loadtests, predictions, models, aliases, transplants),
    *(open_inference, open_inference_models, tfserving, networks, datasets, status, health),
)


class TitleConverter(BaseConverter):
    """A model's title in a path. It ends at a colon, which begins a verb such as `:predict`."""

    regex = PLACEHOLDERS["title"]
    part_isolating = True  # a title never spans two parts of a path


class BackendConverter(BaseConverter):
    """A backend's name in a path. TensorFlow Serving's paths have `versions` in the same place."""

    regex = r"(?!versions\Z)[^/]+"
    part_isolating = True


class NumberConverter(BaseConverter):
    """A number in a path. Werkzeug's own takes any number of digits, and fails for more than 4,300."""

    regex = PLACEHOLDERS["int"]
    part_isolating = True

    def to_python(self, value: str) -> int:
        """Return the number that a text means."""
        return int(value)


def create_server(context: Context) -> HttpServer:
    """Return the gateway's server. Nothing connects until a request comes."""
    app = create_app(context)
    return HttpServer(app, app.extensions[EVENT_LOOP_ROUTES], FLASK_THREADS, context.start)


def create_app(context: Context) -> OpenAPI:
    """Return the Flask application. Its extension EVENT_LOOP_ROUTES lists the routes that the server answers itself."""
    app = OpenAPI(
        "gateway",
        info=Info(title="Tandem", version=VERSION, description="One network, TensorFlow and PyTorch, side by side."),
        static_folder=None,
        doc_ui=False,
        validation_error_callback=_refuse,
        validation_error_model=Problem,
    )
    app.json = JsonParser(app)
    app.json.sort_keys = False
    app.url_map.converters |= {"title": TitleConverter, "backend": BackendConverter, "int": NumberConverter}
    install_problems(app)
    app.extensions[EVENT_LOOP_ROUTES] = []
    for resource in RESOURCES:
        api = resource.routes(context)
        app.register_api(api)
        if isinstance(api, EventLoopBlueprint):
            app.extensions[EVENT_LOOP_ROUTES] += api.event_loop_routes
    _install_docs(app)

    @app.before_request
    def limit_json() -> Response | None:
        """Refuse a JSON body of more than MAX_JSON_BYTES before it is parsed."""
        if request.is_json and (request.content_length or 0) > MAX_JSON_BYTES:
            detail = f"JSON may have at most {MAX_JSON_BYTES:,} bytes"
            return problem_response(ProblemDocument.of(413, "Request Entity Too Large", detail))
        return None

    return app


def _refuse(error: ValidationError) -> Response:
    """Name each invalid field. flask-openapi3 calls this if the path, query or body of a Flask route is invalid."""
    if request.is_json and request.get_json(silent=True) is None:
        return problem_response(ProblemDocument.of(400, "Bad request", "the body is not JSON"))
    return problem_response(ProblemDocument.of(422, "Invalid request", why(error)))


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI document with the problem document as every operation's only error."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = PROBLEM
    components = document["components"]
    document["components"] = {name: part for name, part in components.items() if part is not None}
    return document


def _install_docs(app: OpenAPI) -> None:
    """Serve the OpenAPI document at /openapi.json, and its page at /docs."""
    app.register_blueprint(RegisterPlugin.register(doc_url="/openapi.json"), url_prefix="")

    @app.get("/openapi.json", doc_ui=False)
    def openapi() -> Response:
        return make_response(_with_problems(app.api_doc))

    @app.get("/docs", doc_ui=False)
    def docs() -> str:
        return render_template_string(swagger_html_string, doc_url="/openapi.json", oauth_config=None)
