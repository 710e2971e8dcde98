"""A backend's HTTP server: tensors in, probabilities out, whatever the framework.

The gateway is its only client. A picture has become a tensor before it comes
here, so the hop is raw bytes: `POST /predict/<name>/<version>` takes uint8
[N, H, W, C] and answers float32 [N, classes], little-endian, C order. Models
are loaded from the volume before they are published, or when first asked for;
verified, tried by their golden prediction, and kept.
"""

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
import structlog
from flask import Flask, Response, request
from prometheus_client import Counter, Gauge, Histogram

from shared import golden
from shared.backend import Backend, Predictor
from shared.errors import InvalidRequestError
from shared.layers import Shape
from shared.process import usage
from shared.server import PICTURES, SECONDS, exposition, install_problems, instrument, serve
from shared.settings import Settings
from shared.store import Store, Version
from shared.telemetry import begin_request

MAX_MODELS = 16
MAX_BODY_BYTES = 64 * 2**20
THREADS = 4  # one computes while others receive, or load
COMPUTE_THREADS = 1

COMPUTE_SECONDS = Histogram("tandem_compute_duration_seconds", "To compute a call's probabilities", buckets=SECONDS)
COMPUTE_PICTURES = Histogram("tandem_compute_pictures", "Pictures in a call", buckets=PICTURES)
LOADS = Counter("tandem_model_loads", "Models that were asked for and not there yet", ["outcome"])
LOAD_SECONDS = Histogram("tandem_model_load_duration_seconds", "To verify and load a model", buckets=SECONDS)
LOADED = Gauge("tandem_models_loaded", "Models kept ready, or being loaded")

log = structlog.get_logger()


class Models:
    """The loaded models, the least recently used forgotten first; one that is being loaded holds up no other."""

    def __init__(self, backend: Backend, store: Store) -> None:
        self._backend, self._store = backend, store
        self._loaded: OrderedDict[tuple[int, ...], Future[tuple[Predictor, Shape]]] = OrderedDict()
        self._lock = threading.Lock()
        LOADED.set_function(self._loaded.__len__)

    def get(self, name: str, version: Version) -> tuple[Predictor, Shape]:
        """A model ready to predict, and its input shape.

        Raises:
            NotFoundError, CorruptModelError: see `Store.verify`.
        """
        key = self._store.identity(name, self._backend.NAME, version)
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

    def _load(self, name: str, version: Version) -> tuple[Predictor, Shape]:
        begun = time.perf_counter()
        model = self._store.verify(name, self._backend.NAME, version)
        predict = self._backend.serve(self._backend.define_network(model.network, model.weights))
        golden.check(predict, model.network.input_shape, model.manifest)
        duration_s = time.perf_counter() - begun
        LOAD_SECONDS.observe(duration_s)
        log.info("model loaded", name=name, version=version, seconds=round(duration_s, 3))
        return predict, model.network.input_shape


def create_app(backend: Backend, store: Store) -> Flask:
    """The predictor's WSGI application."""
    app = Flask("predictor", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    models = Models(backend, store)
    instrument(app)
    app.add_url_rule("/metrics", view_func=exposition)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"versions": backend.versions(), "threads": COMPUTE_THREADS, **usage()}

    @app.post("/warm/<name>/<draft>")
    def warm(name: str, draft: str) -> dict[str, Any]:
        """Load a model that is about to be published; it stays loaded when it is."""
        models.get(name, draft)
        return {"loaded": draft}

    def compute(name: str, version: int, body: bytes) -> tuple[bytes, list[tuple[str, str]]]:
        run, shape = models.get(name, version)
        if not body or len(body) % prod(shape):
            raise InvalidRequestError(f"{len(body)} bytes are no pictures of shape {list(shape)}")
        begun = time.perf_counter()
        probabilities = run(np.frombuffer(body, np.uint8).reshape(-1, *shape))
        duration_s = time.perf_counter() - begun
        COMPUTE_SECONDS.observe(duration_s)
        COMPUTE_PICTURES.observe(len(probabilities))
        timing = ("Server-Timing", f"compute;dur={duration_s * 1000:.3f}")
        return probabilities.astype("<f4").tobytes(), [("Content-Type", "application/octet-stream"), timing]

    @app.post("/predict/<name>/<int:version>")
    def predict(name: str, version: int) -> Response:
        body, headers = compute(name, version, request.get_data(cache=False))
        return Response(body, headers=headers)

    whole = app.wsgi_app

    def shortcut(environ: dict[str, Any], start_response: Any) -> Any:
        """Flask's way to `predict` takes three times what computing does; what is amiss goes that way, and is told."""
        with suppress(Exception):
            _, route, name, version = environ["PATH_INFO"].split("/")
            size = int(environ["CONTENT_LENGTH"])
            if (environ["REQUEST_METHOD"], route) == ("POST", "predict") and size <= MAX_BODY_BYTES:
                begin_request(environ.get("HTTP_X_REQUEST_ID", ""))
                body = environ["wsgi.input"].read(size)
                environ["wsgi.input"] = BytesIO(body)
                answer, headers = compute(name, int(version), body)
                start_response("200 OK", [*headers, ("Content-Length", str(len(answer)))])
                return [answer]
        return whole(environ, start_response)

    app.wsgi_app = shortcut  # type: ignore[method-assign]
    install_problems(app)
    return app


def load_app(backend: Backend, settings: Settings) -> Flask:
    """Called in the server's worker process: the framework runs nothing before."""
    backend.configure(threads=COMPUTE_THREADS, device=settings.device, seed=0)
    return create_app(backend, Store(settings.model_dir))


def main(backend: Backend) -> int:
    """Serve until told to stop."""
    settings = Settings.from_env()
    serve(partial(load_app, backend, settings), settings, settings.port_of(backend.NAME), THREADS)
    return 0
