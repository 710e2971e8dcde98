"""/v2: what clients of the Open Inference Protocol ask besides predictions: metadata, readiness, index, statistics."""

from collections.abc import Iterable

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.prediction.model_address import INPUT, ModelAddress, parse_title
from services.gateway.prediction.triton_statistics import PARTS, Counters
from services.gateway.routes.open_inference import TitlePath, TitleVersionPath
from services.gateway.routes.request_bodies import describe_body, parse_json
from services.gateway.routes.responses import JSON, json_response
from services.gateway.routes.uploads import MAX_IMAGES
from services.gateway.schemas.protocols import (
    ConfigTensor,
    Duration,
    IndexEntry,
    IndexRequest,
    InferenceDurations,
    ModelConfiguration,
    ModelMetadata,
    ModelReady,
    ModelStatistics,
    RepositoryIndex,
    ServerMetadata,
    StatisticsList,
    TensorMetadata,
)
from services.gateway.scopes import READ, READ_OR_PREDICT
from services.gateway.version import VERSION
from shared.errors import UnavailableError
from shared.web.shared_figures import key_of

TAG = Tag(name="repository", description="Open Inference Protocol v2: models and their statistics")
EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics"]


def routes(context: Context) -> APIBlueprint:
    """Return the routes that Flask answers for this protocol."""
    api = APIBlueprint("repository", __name__, abp_tags=[TAG])
    addresses = context.addresses

    @api.get("/v2", security=READ_OR_PREDICT, responses={200: ServerMetadata})
    def server() -> Response:
        """The server's name, version and extensions."""
        return json_response(ServerMetadata(name="tandem", version=VERSION, extensions=EXTENSIONS))

    @api.get("/v2/models/<name>", security=READ_OR_PREDICT, responses={200: ModelMetadata})
    def metadata(path: TitlePath) -> Response:
        """A model's versions, inputs and outputs."""
        return json_response(_metadata(context, addresses.resolve_model(path.name)))

    @api.get("/v2/models/<name>/versions/<version>", security=READ_OR_PREDICT, responses={200: ModelMetadata})
    def version_metadata(path: TitleVersionPath) -> Response:
        """One version's inputs and outputs."""
        return json_response(_metadata(context, addresses.resolve_model(path.name, path.version)))

    @api.get("/v2/models/<name>/config", security=READ_OR_PREDICT, responses={200: ModelConfiguration})
    def configuration(path: TitlePath) -> Response:
        """A model's configuration, as Triton's clients ask for it."""
        return json_response(_configuration(addresses.resolve_model(path.name)))

    @api.get(
        "/v2/models/<name>/versions/<version>/config", security=READ_OR_PREDICT, responses={200: ModelConfiguration}
    )
    def version_configuration(path: TitleVersionPath) -> Response:
        """The same of one version."""
        return json_response(_configuration(addresses.resolve_model(path.name, path.version)))

    @api.get("/v2/models/<name>/ready", security=READ_OR_PREDICT, responses={200: ModelReady})
    def ready(path: TitlePath) -> Response:
        """Whether a prediction would be answered: 503 when a backend of the model is down."""
        return json_response(_require_ready(context, addresses.resolve_model(path.name)))

    @api.get("/v2/models/<name>/versions/<version>/ready", security=READ_OR_PREDICT, responses={200: ModelReady})
    def version_ready(path: TitleVersionPath) -> Response:
        """The same of one version."""
        return json_response(_require_ready(context, addresses.resolve_model(path.name, path.version)))

    @api.post("/v2/repository/index", security=READ, responses={200: RepositoryIndex})
    def index() -> Response:
        """Every version of every model, by its name and by its backends'."""
        only_ready = parse_json(IndexRequest, request.get_data(cache=False) or b"{}").ready
        entries = _index(context)
        return json_response(RepositoryIndex([e for e in entries if e.state == "READY" or not only_ready]))

    describe_body(api, "/v2/repository/index", IndexRequest, required=False)

    @api.get("/v2/models/stats", security=READ, responses={200: StatisticsList})
    def all_statistics() -> Response:
        """Every model's counts and times of these protocols' predictions, since the gateway's start."""
        return _statistics(context, addresses.titles())

    @api.get("/v2/models/<name>/stats", security=READ, responses={200: StatisticsList})
    def statistics(path: TitlePath) -> Response:
        """The counts and times of all versions of a model."""
        title = addresses.resolve_model(path.name).title
        return _statistics(context, [(title, addresses.versions(title))])

    @api.get("/v2/models/<name>/versions/<version>/stats", security=READ, responses={200: StatisticsList})
    def version_statistics(path: TitleVersionPath) -> Response:
        """The counts and times of one version."""
        address = addresses.resolve_model(path.name, path.version)
        return _statistics(context, [(address.title, [address.version])])

    return api


def _metadata(context: Context, address: ModelAddress) -> ModelMetadata:
    return ModelMetadata(
        name=address.title,
        versions=[str(version) for version in context.addresses.versions(address.title)],
        platform=_platform_of(address),
        inputs=[TensorMetadata(name=INPUT, datatype="UINT8", shape=[-1, *address.input_shape])],
        outputs=[TensorMetadata(name=name, datatype="FP32", shape=[-1, address.classes]) for name in address.outputs],
    )


def _configuration(address: ModelAddress) -> ModelConfiguration:
    picture = ConfigTensor(name=INPUT, data_type="TYPE_UINT8", format="FORMAT_NHWC", dims=list(address.input_shape))
    return ModelConfiguration(
        name=address.title,
        platform=_platform_of(address),
        backend="tandem",
        max_batch_size=MAX_IMAGES,
        input=[picture],
        output=[ConfigTensor(name=name, data_type="TYPE_FP32", dims=[address.classes]) for name in address.outputs],
    )


def _platform_of(address: ModelAddress) -> str:
    """Return what computes a model, such as `tandem_pytorch`."""
    return "_".join(("tandem", *address.backends))


def _require_ready(context: Context, address: ModelAddress) -> ModelReady:
    """Return that a model is ready, or raise UnavailableError if a predictor does not answer."""
    if reason := _why_unavailable(context.dispatcher.ask_backends_up().result(), address.backends):
        raise UnavailableError(reason)
    return ModelReady(name=address.title, ready=True)


def _index(context: Context) -> list[IndexEntry]:
    are_up = context.dispatcher.ask_backends_up().result()
    entries = []
    for title, versions in context.addresses.titles():
        reason = _why_unavailable(are_up, parse_title(title, context.settings.backends)[1])
        for version in versions:
            state = "UNAVAILABLE" if reason else "READY"
            entries.append(IndexEntry(name=title, version=str(version), state=state, reason=reason))
    return entries


def _why_unavailable(are_up: dict[str, bool], backends: tuple[str, ...]) -> str:
    """Return the backends of which no predictor answers, or an empty text."""
    return "; ".join(f"{backend}'s predictor does not answer" for backend in backends if not are_up[backend])


def _statistics(context: Context, titles: Iterable[tuple[str, list[int]]]) -> Response:
    """Return the statistics of all given versions of titles: a StatisticsList.

    Most versions were never requested. Their entries differ only in the title and the version, so the rest of the JSON
    is made once: thousands of them take milliseconds.
    """
    counted = context.statistics.read_all()
    unused = _statistics_of("", 0, Counters()).model_dump_json().removeprefix('{"name":"","version":"0"')
    entries = []
    for title, versions in titles:
        for version in versions:
            if counters := counted.get(key_of((title, version))):
                entries.append(_statistics_of(title, version, counters).model_dump_json())
            else:
                entries.append(f'{{"name":"{title}","version":"{version}"{unused}')
    return Response(f'{{"model_stats":[{",".join(entries)}]}}', mimetype=JSON)


def _statistics_of(title: str, version: int, counters: Counters) -> ModelStatistics:
    durations = {part: Duration(count=counters.counts[part], ns=counters.ns[part]) for part in PARTS}
    return ModelStatistics(
        name=title,
        version=str(version),
        last_inference=counters.last_ms,
        inference_count=counters.images,
        execution_count=counters.requests,
        inference_stats=InferenceDurations(**durations),
        batch_stats=[],
    )
