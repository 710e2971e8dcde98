"""Health of the gateway, and GET /, which lists the API's most important addresses."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from redis.exceptions import RedisError

from services.gateway.access.route_scopes import current_caller
from services.gateway.context import Context
from services.gateway.routes.responses import json_response
from services.gateway.schemas.catalog import Health, Index
from services.gateway.scopes import ANY_TOKEN, PUBLIC

TAG = Tag(name="health", description="Open Inference Protocol v2 health")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this resource."""
    api = APIBlueprint("health", __name__, abp_tags=[TAG])

    @api.get("/", security=ANY_TOKEN, responses={200: Index})
    def index() -> Response:
        """Where to go from here."""
        return json_response(
            Index(
                name="Tandem",
                docs="/docs",
                openapi="/openapi.json",
                status="/v1/status",
                health="/v2/health/ready",
            )
        )

    @api.get("/v2/health/live", security=PUBLIC, responses={200: Health})
    def live() -> dict[str, bool]:
        """The gateway answers."""
        return {"live": True}

    @api.get("/v2/health/ready", security=PUBLIC, responses={200: Health, 503: Health})
    def ready() -> tuple[dict[str, bool | dict[str, str]], int]:
        """Redis and at least one predictor answer, with or without a model.

        Clients without a token do not see `details` if tokens are required.
        """
        reports = context.dispatcher.ask_health()  # Redis and the predictors have the same second to answer
        redis = _redis_answers(context)
        predictors = {backend: process is not None for backend, process in reports.result().items()}
        details = {name: "up" if is_up else "down" for name, is_up in {"redis": redis, **predictors}.items()}
        is_ready = redis and any(predictors.values())
        shown: dict[str, bool | dict[str, str]] = {"details": details} if current_caller().scopes else {}
        return {"ready": is_ready, **shown}, 200 if is_ready else 503

    return api


def _redis_answers(context: Context) -> bool:
    try:
        return bool(context.redis.ping())
    except RedisError:
        return False
