"""/v2: what the Open Inference Protocol's clients ask before they infer: metadata, readiness, index, statistics."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.prediction.model_address import INPUT, ModelAddress, parse_title
from services.gateway.routes.open_inference import TitlePath, TitleVersionPath
from services.gateway.routes.request_bodies import describe_body, parsed, posted
from services.gateway.schemas.protocols import (
    IndexRequest,
    ModelMetadata,
    ModelReady,
    RepositoryIndex,
    ServerMetadata,
    StatisticsList,
)
from services.gateway.version import VERSION
from shared.errors import UnavailableError

TAG = Tag(name="repository", description="Open Inference Protocol v2: models and their statistics")
EXTENSIONS = ["binary_tensor_data", "statistics"]


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("repository", __name__, abp_tags=[TAG])

    @api.get("/v2", responses={200: ServerMetadata})
    def server() -> dict[str, Any]:
        """The server's name, version and extensions."""
        return {"name": "tandem", "version": VERSION, "extensions": EXTENSIONS}

    @api.get("/v2/models/<name>", responses={200: ModelMetadata})
    def metadata(path: TitlePath) -> dict[str, Any]:
        """A model's versions, inputs and outputs."""
        return _metadata(context, context.addresses.resolve_model(path.name))

    @api.get("/v2/models/<name>/versions/<version>", responses={200: ModelMetadata})
    def version_metadata(path: TitleVersionPath) -> dict[str, Any]:
        """One version's inputs and outputs."""
        return _metadata(context, context.addresses.resolve_model(path.name, path.version))

    @api.get("/v2/models/<name>/ready", responses={200: ModelReady})
    def ready(path: TitlePath) -> dict[str, Any]:
        """Whether a prediction would be answered: 503 when a backend of the model is down."""
        return _ready(context, context.addresses.resolve_model(path.name))

    @api.get("/v2/models/<name>/versions/<version>/ready", responses={200: ModelReady})
    def version_ready(path: TitleVersionPath) -> dict[str, Any]:
        """The same of one version."""
        return _ready(context, context.addresses.resolve_model(path.name, path.version))

    @api.post("/v2/repository/index", responses={200: RepositoryIndex})
    def index() -> list[dict[str, Any]]:
        """Every version of every model, by its name and by its backends'."""
        only_ready = parsed(IndexRequest, posted() or b"{}").ready
        entries = _index(context)
        return [entry for entry in entries if entry["state"] == "READY" or not only_ready]

    describe_body(api, "/v2/repository/index", IndexRequest, required=False)

    @api.get("/v2/models/stats", responses={200: StatisticsList})
    def all_statistics() -> dict[str, Any]:
        """Every model's counts and times of these protocols' predictions, since the gateway's start."""
        return _statistics(context, list(context.addresses.titles()))

    @api.get("/v2/models/<name>/stats", responses={200: StatisticsList})
    def statistics(path: TitlePath) -> dict[str, Any]:
        """The counts and times of all versions of a model."""
        return _statistics(context, [context.addresses.resolve_model(path.name).title])

    @api.get("/v2/models/<name>/versions/<version>/stats", responses={200: StatisticsList})
    def version_statistics(path: TitleVersionPath) -> dict[str, Any]:
        """The counts and times of one version."""
        served = context.addresses.resolve_model(path.name, path.version)
        return {"model_stats": [context.statistics.read(served.title, served.version)]}

    return api


def _metadata(context: Context, served: ModelAddress) -> dict[str, Any]:
    return {
        "name": served.title,
        "versions": [str(version) for version in context.addresses.versions(served.title)],
        "platform": "_".join(("tandem", *served.backends)),
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *served.input_shape]}],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, served.classes]} for name in served.outputs],
    }


def _ready(context: Context, served: ModelAddress) -> dict[str, Any]:
    if reason := _down(context.dispatcher.health(), served.backends):
        raise UnavailableError(reason)
    return {"name": served.title, "ready": True}


def _index(context: Context) -> list[dict[str, Any]]:
    health = context.dispatcher.health()
    entries = []
    for title in context.addresses.titles():
        reason = _down(health, parse_title(title, context.settings.backends)[1])
        state = {"state": "UNAVAILABLE" if reason else "READY", "reason": reason}
        entries += [{"name": title, "version": str(version), **state} for version in context.addresses.versions(title)]
    return entries


def _down(health: dict[str, dict[str, Any] | None], backends: tuple[str, ...]) -> str:
    """Which of the backends' predictors do not answer; empty when all do."""
    return "; ".join(f"{backend}'s predictor does not answer" for backend in backends if health[backend] is None)


def _statistics(context: Context, asked: list[str]) -> dict[str, Any]:
    found = [
        context.statistics.read(title, version) for title in asked for version in context.addresses.versions(title)
    ]
    return {"model_stats": found}
