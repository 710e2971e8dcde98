"""/v1/status: what runs, what waits, and what is down, on one page; /metrics: the same in figures, for Prometheus."""

import contextlib
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import RedisError
from rq import Worker

from services.gateway.context import Context
from services.gateway.routes.submissions import file_of
from services.gateway.schemas.catalog import SystemStatus
from services.gateway.version import VERSION
from shared.data import datasets
from shared.jobs.job_queue import LOADTEST, queue_of
from shared.jobs.run_state import THROUGHPUT_KEY
from shared.web.request_metrics import metrics_response

TAG = Tag(name="status", description="What runs, what waits, what is down")
NOTHING: dict[str, Any] = {"trainers": [], "queued": None}


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("status", __name__, abp_tags=[TAG])

    @api.get("/v1/status", responses={200: SystemStatus})
    def status() -> dict[str, Any]:
        """Every backend's predictor, trainers and queue; answered even when nothing else answers."""
        predictors = context.dispatcher.health()
        try:
            queues = {queue: _queue(context, queue) for queue in (*predictors, LOADTEST)}
        except RedisError:
            queues = {}
        return {
            "version": VERSION,
            "redis": "up" if queues else "down",
            "backends": {
                backend: {
                    "predictor": "up" if process else "down",
                    "process": process and process.model_dump(),
                    **queues.get(backend, NOTHING),
                }
                for backend, process in predictors.items()
            },
            "loadtest": queues.get(LOADTEST, NOTHING),
            "threads_per_trainer": context.settings.threads_per_backend,
            "models": context.registry.names(),
            "datasets": datasets.names(context.settings),
        }

    @api.get("/metrics", responses=file_of("text/plain", "Prometheus' text format"))
    def metrics() -> Response:
        """Latencies, sizes of batches, what waits and since when, the trainers' throughput; without Redis, the rest."""
        backends, redis, found = context.settings.backends, context.redis, CollectorRegistry()
        gauge = partial(Gauge, registry=found)  # looked up anew at each scrape
        pictures = gauge("tandem_prediction_queue_pictures", "Pictures that wait for a call", ["backend"])
        age = gauge("tandem_prediction_queue_age_seconds", "Since the first of them came", ["backend"])
        jobs = gauge("tandem_jobs_waiting", "Jobs that no worker has begun", ["queue"])
        job_age = gauge("tandem_jobs_oldest_age_seconds", "Since the first of them was submitted", ["queue"])
        speed = gauge("tandem_training_examples_per_second", "In the newest epoch of any training", ["backend"])
        for backend in backends:
            waiting, age_s = context.dispatcher.count_waiting(backend)
            pictures.labels(backend).set(waiting)
            age.labels(backend).set(age_s)
        with contextlib.suppress(RedisError):
            for name in (*backends, LOADTEST):
                queue = queue_of(name, redis)
                count, first = queue.count, queue.get_jobs(0, 1)
                jobs.labels(name).set(count)
                job_age.labels(name).set(sum((datetime.now(UTC) - job.created_at).total_seconds() for job in first))
            for trained, value in cast(dict[bytes, bytes], redis.hgetall(THROUGHPUT_KEY)).items():
                speed.labels(trained.decode()).set(float(value))
        return metrics_response(found)

    return api


def _queue(context: Context, name: str) -> dict[str, Any]:
    queue = queue_of(name, context.redis)
    workers = Worker.all(queue=queue, serializer="json")
    return {
        "trainers": [{"state": worker.get_state(), "job": worker.get_current_job_id()} for worker in workers],
        "queued": queue.count,
    }
