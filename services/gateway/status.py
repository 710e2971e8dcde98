"""/v1/status: what runs, what waits, and what is down, on one page."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from redis.exceptions import RedisError
from rq import Worker

from services.gateway.context import Context
from services.gateway.version import VERSION
from shared import dataset
from shared.jobs import LOADTEST, queue_of
from shared.listings import SystemStatus

TAG = Tag(name="status", description="What runs, what waits, what is down")
NOTHING: dict[str, Any] = {"trainers": [], "queued": None}


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("status", __name__, abp_tags=[TAG])

    @api.get("/v1/status", responses={200: SystemStatus})
    def status() -> dict[str, Any]:
        """Every backend's predictor, trainers and queue; answered even when nothing else answers."""
        predictors = context.predictors.health()
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
                    "process": process,
                    **queues.get(backend, NOTHING),
                }
                for backend, process in predictors.items()
            },
            "loadtest": queues.get(LOADTEST, NOTHING),
            "threads_per_trainer": context.settings.threads_per_backend,
            "models": context.store.names(),
            "datasets": dataset.names(context.settings),
        }

    return api


def _queue(context: Context, name: str) -> dict[str, Any]:
    queue = queue_of(name, context.redis)
    workers = Worker.all(queue=queue, serializer="json")
    return {
        "trainers": [{"state": worker.get_state(), "job": worker.get_current_job_id()} for worker in workers],
        "queued": queue.count,
    }
