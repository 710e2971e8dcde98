"""Health, and the way in: GET / leads to the documents and to health."""

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from redis.exceptions import RedisError

from services.gateway.context import Context
from services.gateway.schemas.catalog import Health, Index

TAG = Tag(name="health", description="Open Inference Protocol v2 health")


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("health", __name__, abp_tags=[TAG])

    @api.get("/", responses={200: Index})
    def index() -> dict[str, Any]:
        """Where to go from here."""
        return {
            "name": "Tandem",
            "docs": "/docs",
            "openapi": "/openapi.json",
            "status": "/v1/status",
            "health": "/v2/health/ready",
        }

    @api.get("/v2/health/live", responses={200: Health})
    def live() -> dict[str, Any]:
        """The gateway answers."""
        return {"live": True}

    @api.get("/v2/health/ready", responses={200: Health, 503: Health})
    def ready() -> tuple[dict[str, Any], int]:
        """Redis and at least one predictor answer, with or without a model."""
        predictors = {backend: said is not None for backend, said in context.dispatcher.health().items()}
        redis = _redis_answers(context)
        details = {"redis": redis, **predictors}
        is_ready = redis and any(predictors.values())
        return {
            "ready": is_ready,
            "details": {name: "up" if up else "down" for name, up in details.items()},
        }, 200 if is_ready else 503

    return api


def _redis_answers(context: Context) -> bool:
    try:
        return bool(context.redis.ping())
    except RedisError:
        return False
