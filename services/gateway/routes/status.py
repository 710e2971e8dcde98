"""GET /v1/status: what runs, what waits and what is down; GET /metrics: the same as figures for Prometheus."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import RedisError
from rq.worker_registration import get_keys

from services.gateway.context import Context
from services.gateway.prediction.replica import ReplicaReport
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import file_of
from services.gateway.schemas.catalog import (
    BackendStatus,
    JobReference,
    PredictorStatus,
    QueueStatus,
    SystemStatus,
    TrainerStatus,
)
from services.gateway.scopes import READ
from services.gateway.version import VERSION
from shared.data import datasets
from shared.jobs.job_queue import LOADTEST, PIPELINES, parse_job_id, queue_of
from shared.jobs.run_state import THROUGHPUT_KEY
from shared.web.request_metrics import metrics_response

TAG = Tag(name="status", description="What runs, what waits, what is down")
MAX_WAITING = 50  # jobs of a queue that are listed
UNKNOWN_QUEUE = QueueStatus(
    trainers=[], queued=None, running=None, unfinished=None, waiting=[]
)  # while Redis does not answer


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this resource."""
    api = APIBlueprint("status", __name__, abp_tags=[TAG])

    @api.get("/v1/status", security=READ, responses={200: SystemStatus})
    def status() -> Response:
        """Every backend's predictors, trainers and queue; answered even when nothing else answers."""
        reports = context.dispatcher.ask_health()  # the predictors answer while Redis is asked
        try:
            queues = {name: _queue_status(context, name) for name in (*context.settings.backends, LOADTEST, PIPELINES)}
        except RedisError:
            queues = {}
        predictors = reports.result()
        return json_response(
            SystemStatus(
                version=VERSION,
                redis="up" if queues else "down",
                backends={
                    backend: _backend_status(found, queues.get(backend, UNKNOWN_QUEUE))
                    for backend, found in predictors.items()
                },
                loadtest=queues.get(LOADTEST, UNKNOWN_QUEUE),
                pipelines=queues.get(PIPELINES, UNKNOWN_QUEUE),
                threads_per_trainer=context.settings.threads_per_backend,
                models=context.registry.names(),
                datasets=datasets.names(context.settings),
            )
        )

    @api.get("/metrics", security=READ, responses=file_of("text/plain", "Prometheus' text format"))
    def metrics() -> Response:
        """Latencies, sizes of batches, queues and their ages, the trainers' throughput; without Redis, the rest."""
        found = CollectorRegistry()
        _add_prediction_gauges(context, found)
        _add_job_gauges(context, found)
        return metrics_response(found)

    return api


def _queue_status(context: Context, name: str) -> QueueStatus:
    """Return a queue's length and its workers.

    RQ's own `Worker.all` would set the time limit of every connection of the gateway to some minutes. So the keys that
    RQ's workers write are read directly. A worker that died leaves its name, and its record expires. What a worker
    performs is in the set of its executions; it does one job at a time.
    """
    queue = queue_of(name, context.redis)
    with context.redis.pipeline() as pipeline:  # in one step, so that a job that begins is counted once
        pipeline.llen(queue.key)
        pipeline.llen(f"{queue.key}:intermediate")
        pipeline.zcard(f"rq:wip:{name}")
        queued, taken, performed = cast(list[int], pipeline.execute())
    running = taken + performed
    with context.redis.pipeline(transaction=False) as pipeline:
        for key in sorted(get_keys(queue)):
            pipeline.hget(key, "state")
            pipeline.smembers(f"{key}:executions")
        found = pipeline.execute()
    states, executions = cast(list[bytes | None], found[::2]), cast(list[set[bytes]], found[1::2])
    trainers = [
        _trainer_status(state.decode(), begun) for state, begun in zip(states, executions, strict=True) if state
    ]
    waiting = [JobReference(kind=kind, id=identity) for kind, identity in context.jobs.list_waiting(name, MAX_WAITING)]
    return QueueStatus(trainers=trainers, queued=queued, running=running, unfinished=queued + running, waiting=waiting)


def _trainer_status(state: str, executions: set[bytes]) -> TrainerStatus:
    """Return the state of a worker.

    Args:
        state: as RQ names it.
        executions: what it performs, each as `<job id>:<execution>`. A worker performs one job at a time.
    """
    job = min(executions).decode().partition(":")[0] if executions else None
    running = parse_job_id(job) if job else None
    reference = JobReference(kind=running[0], id=running[1]) if running else None
    return TrainerStatus(state=state, job=job, running=reference)


def _backend_status(found: list[ReplicaReport], queue: QueueStatus) -> BackendStatus:
    first = next((report.process for report in found if report.process), None)
    predictors = [
        PredictorStatus(address=report.address, state="up" if report.process else "down", process=report.process)
        for report in found
    ]
    return BackendStatus(**dict(queue), predictor="up" if first else "down", process=first, predictors=predictors)


def _gauges_in(registry: CollectorRegistry) -> Callable[[str, str, str], Gauge]:
    """Return a function that makes a gauge with one label in a registry. Gauges are made anew for each scrape."""
    return lambda name, text, label: Gauge(name, text, [label], registry=registry)


def _add_prediction_gauges(context: Context, registry: CollectorRegistry) -> None:
    gauge = _gauges_in(registry)
    images = gauge("tandem_prediction_queue_pictures", "Pictures that wait for a call", "backend")
    age = gauge("tandem_prediction_queue_age_seconds", "Since the first of them came", "backend")
    up = gauge("tandem_predictors_up", "Predictors that answered when they were last asked", "backend")
    down = gauge("tandem_predictors_down", "Predictors that did not", "backend")
    for backend in context.settings.backends:
        answering, missing = context.dispatcher.count_predictors(backend)
        up.labels(backend).set(answering)
        down.labels(backend).set(missing)
        waiting, age_s = context.dispatcher.count_waiting(backend)
        images.labels(backend).set(waiting)
        age.labels(backend).set(age_s)


def _add_job_gauges(context: Context, registry: CollectorRegistry) -> None:
    """Add what Redis knows. If Redis does not answer, the gauges stay empty."""
    gauge = _gauges_in(registry)
    jobs = gauge("tandem_jobs_waiting", "Jobs that no worker has begun", "queue")
    age = gauge("tandem_jobs_oldest_age_seconds", "Since the first of them was submitted", "queue")
    speed = gauge("tandem_training_examples_per_second", "In the newest epoch of any training", "backend")
    with suppress(RedisError):
        for name in (*context.settings.backends, LOADTEST, PIPELINES):
            queue = queue_of(name, context.redis)
            count, first = queue.count, queue.get_jobs(0, 1)
            jobs.labels(name).set(count)
            age.labels(name).set(sum((datetime.now(UTC) - job.created_at).total_seconds() for job in first))
        for backend, value in cast(dict[bytes, bytes], context.redis.hgetall(THROUGHPUT_KEY)).items():
            speed.labels(backend.decode()).set(float(value))
