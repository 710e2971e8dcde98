"""A backend's HTTP server: images in, probabilities out, whatever the framework.

Its clients are the gateway and the trainers (`shared/serving/client.py`). An image is already uint8 pixels when it
arrives, so `POST /predict/<name>/<version>` takes raw bytes, uint8 [N, H, W, C], and answers float32 [N, classes],
both little-endian in C order. Models are loaded from the volume when they are first requested, or before they are
published (`POST /warm/<name>/<draft>`). A model is verified and tried with its golden prediction before it serves.
"""

import re
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import structlog
from aiohttp import web
from flask import Flask
from prometheus_client import Counter, Gauge, Histogram

from shared.backend import Backend, Predictor
from shared.errors import InvalidRequestError, UnavailableError
from shared.heap import freeze_heap, loading
from shared.models import golden_check
from shared.models.cached_reads import NotCachedError, call_cached_only
from shared.models.model_paths import VersionOrDraft
from shared.models.open_registry import open_registry
from shared.models.registry import VISIBLE_AFTER_S, ModelRegistry
from shared.network.layers import Shape
from shared.process import usage
from shared.serving.health import ProcessUse
from shared.settings import Settings
from shared.web.gate import ServiceGate
from shared.web.problems import install_problems
from shared.web.request_metrics import IMAGE_BUCKETS, SECONDS_BUCKETS, metrics_response
from shared.web.routes import BufferedRequest, Route, run_in_thread
from shared.web.server import HttpServer, serve

MAX_MODELS = 16
COLLECT_AFTER = 8  # dropped models: their memory is freed by a full collection, which takes a tenth of a second
FLASK_THREADS = 4  # for health, metrics and warming
NO_HEADERS: dict[str, str] = {}  # the gateway would parse them with each reply
LOOP_COMPUTE_S = 0.01  # a call that should take longer is computed in a thread, so that health is answered meanwhile

COMPUTE_SECONDS = Histogram(
    "tandem_compute_duration_seconds", "To compute the probabilities of a call", buckets=SECONDS_BUCKETS
)
COMPUTE_IMAGES = Histogram("tandem_compute_pictures", "Pictures in a call", buckets=IMAGE_BUCKETS)
LOADS = Counter("tandem_model_loads", "Models that were requested and not loaded yet", ["outcome"])
LOAD_SECONDS = Histogram("tandem_model_load_duration_seconds", "To verify and load a model", buckets=SECONDS_BUCKETS)
LOADED = Gauge("tandem_models_loaded", "Models that are loaded, or being loaded")

log = structlog.get_logger()


@dataclass
class LoadedModel:
    """A model that is ready to predict.

    Attributes:
        predict: from images uint8 [N, H, W, C] to probabilities float32 [N, classes].
        shape: of one image, [H, W, C].
        image_s: how many seconds an image took in the last call.
    """

    predict: Predictor
    shape: Shape
    image_s: float = 0.0


class LoadedModels:
    """Keeps up to MAX_MODELS models loaded, and drops the one that was not requested for the longest time.

    While a model is being loaded, requests for other models go on.
    """

    def __init__(self, backend: Backend, registry: ModelRegistry) -> None:
        self._backend, self._registry = backend, registry
        self._loaded: OrderedDict[tuple[int, ...], Future[LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], tuple[float, LoadedModel]] = {}  # models that were just used, and until when
        self._dropped = 0  # models, since the last full collection
        LOADED.set_function(self._loaded.__len__)

    def get(self, name: str, version: VersionOrDraft) -> LoadedModel:
        """Return a model; load it first if necessary, which can take seconds.

        Raises:
            NotFoundError: there is no such model.
            CorruptModelError: a file is not as it was published, or the model's golden prediction differs.
        """
        key = self._registry.identity(name, self._backend.NAME, version)
        with self._lock:
            is_new = key not in self._loaded
            loaded = self._loaded.setdefault(key, Future())
            self._loaded.move_to_end(key)
            if len(self._loaded) > MAX_MODELS:
                self._loaded.popitem(last=False)
                self._kept.clear()
                self._dropped += 1
        if is_new:
            try:
                with loading():
                    loaded.set_result(self._load(name, version))
                self._free_dropped_models()
                LOADS.labels("success").inc()
            except BaseException as error:
                LOADS.labels("failure").inc()
                loaded.set_exception(error)
                with self._lock:
                    self._loaded.pop(key, None)
        return loaded.result()

    def get_if_loaded(self, name: str, version: int) -> LoadedModel | None:
        """Return a model without waiting, or None if that is not possible. Raises NotFoundError for an unknown one.

        A model is kept for VISIBLE_AFTER_S, so that a prediction asks no disk. Only the event loop calls this.
        """
        now_s = time.monotonic()
        kept_until_s, model = self._kept.get((name, version), (0.0, None))
        if model and now_s < kept_until_s:
            return model
        try:
            key = call_cached_only(partial(self._registry.identity, name, self._backend.NAME, version))
        except NotCachedError:
            return None
        with self._lock:
            loaded = self._loaded.get(key)
            if loaded is None or not loaded.done():
                return None
            self._loaded.move_to_end(key)
        if len(self._kept) >= MAX_MODELS:
            self._kept.clear()
        self._kept[name, version] = now_s + VISIBLE_AFTER_S, loaded.result()
        return loaded.result()

    def _load(self, name: str, version: VersionOrDraft) -> LoadedModel:
        """Verify the model's files, build the model, and compare its golden prediction."""
        started = time.perf_counter()
        model = self._registry.verify(name, self._backend.NAME, version)
        network = model.manifest.network
        predict = self._backend.serve(self._backend.define_network(network, model.weights))
        golden_check.check_probabilities(predict, network.input_shape, model.manifest)
        duration_s = time.perf_counter() - started
        LOAD_SECONDS.observe(duration_s)
        log.info("model loaded", name=name, version=version, seconds=round(duration_s, 3))
        return LoadedModel(predict, network.input_shape)

    def _free_dropped_models(self) -> None:
        with self._lock:
            is_due = self._dropped >= COLLECT_AFTER
            if is_due:
                self._dropped = 0
        if is_due:
            freeze_heap()


def create_app(backend: Backend, models: LoadedModels, threads: int, device: str) -> Flask:
    """Return the routes that Flask answers: health, metrics and warming."""
    app = Flask("predictor", static_folder=None)
    app.add_url_rule("/metrics", view_func=metrics_response)

    @app.get("/health")
    def health() -> dict[str, Any]:
        """Report the process' versions, threads, device and use."""
        return ProcessUse(versions=backend.versions(), threads=threads, device=device, **usage()).model_dump()

    @app.post("/warm/<name>/<draft>")
    def warm(name: str, draft: str) -> dict[str, str]:
        """Load a model that is about to be published. It stays loaded when it is published."""
        models.get(name, draft)
        return {"loaded": draft}

    install_problems(app)
    return app


def prediction_route(models: LoadedModels) -> Route:
    """Return the route that predicts. Short calls are computed on the event loop, longer ones in a thread."""
    computer = ThreadPoolExecutor(1, "compute")  # one computation at a time: each uses all threads of the settings

    async def predict(request: BufferedRequest) -> web.Response:
        name, version = request.path_values["name"], int(request.path_values["version"])
        model = models.get_if_loaded(name, version)
        if model is None:
            model = await run_in_thread(None, models.get, name, version)
        if len(request.body) / prod(model.shape) * model.image_s > LOOP_COMPUTE_S:
            return await run_in_thread(computer, _compute, model, request.body)
        return _compute(model, request.body)

    pattern = re.compile("/predict/(?P<name>[^/]+)/(?P<version>[0-9]{1,18})")
    return Route("/predict/<name>/<int:version>", pattern, predict)


def _compute(model: LoadedModel, body: bytes) -> web.Response:
    """Return the probabilities of the images in a body; the time to compute them is in the header Server-Timing."""
    if not body or len(body) % prod(model.shape):
        raise InvalidRequestError(
            f"the body has {len(body)} bytes: send one or more images of shape {list(model.shape)}"
        )
    started = time.perf_counter()
    probabilities = model.predict(np.frombuffer(body, np.uint8).reshape(-1, *model.shape))
    duration_s = time.perf_counter() - started
    model.image_s = duration_s / len(probabilities)
    COMPUTE_SECONDS.observe(duration_s)
    COMPUTE_IMAGES.observe(len(probabilities))
    headers = {"Content-Type": "application/octet-stream", "Server-Timing": f"compute;dur={duration_s * 1000:.3f}"}
    return web.Response(headers=headers, body=probabilities.astype("<f4").tobytes())


def create_server(backend: Backend, settings: Settings) -> HttpServer:
    """Configure the framework, and return the predictor's server.

    Raises:
        UnavailableError: the settings ask for a GPU and there is none.
    """
    wanted = settings.prediction_device
    try:
        device = backend.configure(settings.prediction_threads, wanted, 0, settings.tf32)
    except UnavailableError as error:
        raise UnavailableError(f"TANDEM_PREDICTION_DEVICE={wanted}, but {error}") from None
    models = LoadedModels(backend, open_registry(settings))
    app = create_app(backend, models, settings.prediction_threads, device)
    gate = ServiceGate(*(urlsplit(url).hostname or "" for url in settings.urls_of(backend.NAME)))
    return HttpServer(app, [prediction_route(models)], FLASK_THREADS, gate=gate, headers=NO_HEADERS)


def main(backend: Backend) -> int:
    """Serve until the process is told to stop."""
    settings = Settings.from_env()
    port, socket_path = settings.port_of(backend.NAME), settings.socket_of(backend.NAME)
    serve(partial(create_server, backend, settings), settings, port, socket_path=socket_path)
    return 0
