"""A backend's HTTP server: tensors in, probabilities out, whatever the framework.

The gateway is its only client. A picture has become a tensor before it comes
here, so the hop is raw bytes: `POST /predict/<name>/<version>` takes uint8
[N, H, W, C] and answers float32 [N, classes], little-endian, C order. Models
are loaded from the volume before they are published, or when first asked for;
verified, tried by their golden prediction, and kept.
"""

import re
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from functools import partial
from math import prod
from typing import Any

import numpy as np
import structlog
from flask import Flask, Response, request
from prometheus_client import Counter, Gauge, Histogram

from shared.backend import Backend, Predictor
from shared.errors import InvalidRequestError
from shared.models import golden_check
from shared.models.registry import ModelRegistry, VersionOrDraft
from shared.network.layers import Shape
from shared.process import usage
from shared.settings import Settings
from shared.web.problems import install_problems
from shared.web.request_metrics import PICTURES, SECONDS, exposition, instrument
from shared.web.server import Handler, HttpServer, serve

MAX_MODELS = 16
MAX_BODY_BYTES = 64 * 2**20
THREADS = 4  # that load models, while the loop computes

COMPUTE_SECONDS = Histogram("tandem_compute_duration_seconds", "To compute a call's probabilities", buckets=SECONDS)
COMPUTE_PICTURES = Histogram("tandem_compute_pictures", "Pictures in a call", buckets=PICTURES)
LOADS = Counter("tandem_model_loads", "Models that were asked for and not there yet", ["outcome"])
LOAD_SECONDS = Histogram("tandem_model_load_duration_seconds", "To verify and load a model", buckets=SECONDS)
LOADED = Gauge("tandem_models_loaded", "Models kept ready, or being loaded")

log = structlog.get_logger()


class Models:
    """The loaded models, the least recently used forgotten first; one that is being loaded holds up no other."""

    def __init__(self, backend: Backend, registry: ModelRegistry) -> None:
        self._backend, self._registry = backend, registry
        self._loaded: OrderedDict[tuple[int, ...], Future[tuple[Predictor, Shape]]] = OrderedDict()
        self._lock = threading.Lock()
        LOADED.set_function(self._loaded.__len__)

    def get(self, name: str, version: VersionOrDraft) -> tuple[Predictor, Shape]:
        """A model ready to predict, and its input shape.

        Raises:
            NotFoundError, CorruptModelError: see `ModelRegistry.verify`.
        """
        key = self._registry.identity(name, self._backend.NAME, version)
        with self._lock:
            is_new = key not in self._loaded
            loaded = self._loaded.setdefault(key, Future())
            self._loaded.move_to_end(key)
            if len(self._loaded) > MAX_MODELS:
                self._loaded.popitem(last=False)
        if is_new:
            try:
                loaded.set_result(self._load(name, version))
                LOADS.labels("success").inc()
            except BaseException as error:
                LOADS.labels("failure").inc()
                loaded.set_exception(error)
                with self._lock:
                    self._loaded.pop(key, None)
        return loaded.result()

    def ready(self, name: str, version: int) -> tuple[Predictor, Shape] | None:
        """The same, without waiting: None if it is not loaded."""
        key = self._registry.identity(name, self._backend.NAME, version)
        with self._lock:
            loaded = self._loaded.get(key)
            if loaded is None or not loaded.done():
                return None
            self._loaded.move_to_end(key)
        return loaded.result()

    def _load(self, name: str, version: VersionOrDraft) -> tuple[Predictor, Shape]:
        begun = time.perf_counter()
        model = self._registry.verify(name, self._backend.NAME, version)
        predict = self._backend.serve(self._backend.define_network(model.manifest.network, model.weights))
        golden_check.check_probabilities(predict, model.manifest.network.input_shape, model.manifest)
        duration_s = time.perf_counter() - begun
        LOAD_SECONDS.observe(duration_s)
        log.info("model loaded", name=name, version=version, seconds=round(duration_s, 3))
        return predict, model.manifest.network.input_shape


def create_app(backend: Backend, models: Models, threads: int) -> Flask:
    """The predictor's routes, as Flask has them."""
    app = Flask("predictor", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    instrument(app)
    app.add_url_rule("/metrics", view_func=exposition)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"versions": backend.versions(), "threads": threads, **usage()}

    @app.post("/warm/<name>/<draft>")
    def warm(name: str, draft: str) -> dict[str, Any]:
        """Load a model that is about to be published; it stays loaded when it is."""
        models.get(name, draft)
        return {"loaded": draft}

    @app.post("/predict/<name>/<int:version>")
    def predict(name: str, version: int) -> Response:
        headers, body = _compute(*models.get(name, version), request.get_data(cache=False))
        return Response(body, headers=headers)

    install_problems(app)
    return app


def direct(models: Models) -> dict[str, tuple[str, Handler]]:
    """Predictions of a loaded model, on the event loop: it computes, as nothing else could meanwhile."""

    async def predict(path: re.Match[str], _: Any, body: bytes) -> tuple[dict[str, str], bytes] | None:
        loaded = models.ready(path[1], int(path[2]))
        return _compute(*loaded, body) if loaded else None

    return {"/predict/<name>/<int:version>": ("/predict/([^/]+)/([0-9]{1,18})", predict)}


def _compute(run: Predictor, shape: Shape, body: bytes) -> tuple[dict[str, str], bytes]:
    if not body or len(body) % prod(shape):
        raise InvalidRequestError(f"{len(body)} bytes are no pictures of shape {list(shape)}")
    begun = time.perf_counter()
    probabilities = run(np.frombuffer(body, np.uint8).reshape(-1, *shape))
    duration_s = time.perf_counter() - begun
    COMPUTE_SECONDS.observe(duration_s)
    COMPUTE_PICTURES.observe(len(probabilities))
    headers = {"Content-Type": "application/octet-stream", "Server-Timing": f"compute;dur={duration_s * 1000:.3f}"}
    return headers, probabilities.astype("<f4").tobytes()


def load_app(backend: Backend, settings: Settings) -> HttpServer:
    """Called in the server's worker process: the framework runs nothing before."""
    backend.configure(threads=settings.prediction_threads, device=settings.device, seed=0)
    models = Models(backend, ModelRegistry(settings.model_dir))
    return HttpServer(create_app(backend, models, settings.prediction_threads), direct(models), THREADS)


def main(backend: Backend) -> int:
    """Serve until told to stop."""
    settings = Settings.from_env()
    serve(partial(load_app, backend, settings), settings, settings.port_of(backend.NAME))
    return 0
