"""The gateway's server and its Flask application: every resource's routes, and the OpenAPI document of all."""

import structlog
from flask import Response
from flask_openapi3 import Info, OpenAPI
from pydantic import ValidationError
from werkzeug.routing import BaseConverter

from services.gateway.access.gate import GatewayGate
from services.gateway.access.modes import ClosedError, mode_at_start
from services.gateway.access.route_scopes import declared_requirements, install_scopes, public_paths
from services.gateway.access.token_store import DamagedTokenFileError
from services.gateway.context import Context
from services.gateway.routes import (
    aliases,
    certificates,
    code,
    dashboard,
    dataset_arrays,
    dataset_pictures,
    dataset_uploads,
    datasets,
    docs,
    evaluations,
    events,
    exports,
    health,
    loadtests,
    models,
    networks,
    open_inference,
    open_inference_models,
    predictions,
    releases,
    searches,
    status,
    tfserving,
    tokens,
    trainings,
    transplants,
)
from services.gateway.routes.event_loop import PLACEHOLDERS, EventLoopBlueprint
from services.gateway.routes.field_errors import describe_field_errors
from services.gateway.routes.request_bodies import JsonRequest
from services.gateway.schemas.catalog import Problem
from services.gateway.scopes import SECURITY_SCHEME
from services.gateway.version import VERSION
from shared.web.body_reader import BodyReader
from shared.web.problems import ProblemDocument, install_problems, problem_response
from shared.web.server import HttpServer

FLASK_THREADS = 16  # most of them wait for a predictor or for Redis
# Keys of the application's extensions.
EVENT_LOOP_ROUTES = "event_loop_routes"  # the routes that the server answers itself
PUBLIC_PATHS = "public_paths"  # what needs no token
RESOURCES = (
    *(trainings, evaluations, certificates, loadtests, searches, releases, events, predictions),
    *(models, aliases, transplants, exports),
    *(code, datasets, dataset_uploads, dataset_pictures, dataset_arrays),
    *(open_inference, open_inference_models, tfserving, networks, status, health, tokens, dashboard),
)

log = structlog.get_logger()


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
    """Return the gateway's server. Nothing connects until a request comes.

    Raises:
        SystemExit: the gateway would serve nobody, its file of tokens is damaged, or a setting is not valid. The
            message is one line that says what to do.
    """
    app, shared = create_app(context), context.shared
    try:
        mode = mode_at_start(context.settings, context.tokens.read())
        gate = GatewayGate(
            context.settings,
            context.tokens,
            context.job_key,
            app.extensions[PUBLIC_PATHS],
            shared.rates if shared else None,
        )
    except (ClosedError, DamagedTokenFileError, ValueError) as error:
        raise SystemExit(f"Tandem's gateway cannot start: {error}") from None
    log.info("access", mode=mode.name.lower(), meaning=mode.value)
    return HttpServer(
        app,
        app.extensions[EVENT_LOOP_ROUTES],
        FLASK_THREADS,
        context.start,
        BodyReader(shared=shared.bodies if shared else None),
        gate,
        shared_connections=shared.connections if shared else None,
        spooler=dataset_uploads.create_spooler(context),
    )


def create_app(context: Context) -> OpenAPI:
    """Return the Flask application. Its extensions hold what the server needs besides it.

    Raises:
        ValueError: a route declares no scope.
    """
    app = OpenAPI(
        "gateway",
        info=Info(title="Tandem", version=VERSION, description="One network, TensorFlow and PyTorch, side by side."),
        static_folder=None,
        doc_ui=False,
        security_schemes={SECURITY_SCHEME: {"type": "http", "scheme": "bearer"}},
        validation_error_callback=_refuse,
        validation_error_model=Problem,
    )
    app.request_class = JsonRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.converters |= {"title": TitleConverter, "backend": BackendConverter, "int": NumberConverter}
    install_problems(app)
    resources = [resource.routes(context) for resource in RESOURCES]
    for api in resources:
        app.register_api(api)
    app.register_blueprint(docs.routes(lambda: app.api_doc))
    requirements = declared_requirements(resources) | docs.requirements()
    app.extensions[PUBLIC_PATHS] = [*public_paths(requirements), *dashboard.public_page_paths()]
    app.extensions[EVENT_LOOP_ROUTES] = [
        route for api in resources if isinstance(api, EventLoopBlueprint) for route in api.event_loop_routes
    ]
    install_scopes(app, requirements)
    return app


def _refuse(error: ValidationError) -> Response:
    """Name each invalid field. flask-openapi3 calls this if the path, query or body of a Flask route is invalid."""
    return problem_response(ProblemDocument.of(422, "Invalid request", describe_field_errors(error)))
