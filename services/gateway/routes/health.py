"""Health of the gateway.

The event loop answers these routes, so that they are answered while all of Flask's threads wait.
"""

import asyncio

from aiohttp import web
from flask_openapi3 import Tag
from redis.exceptions import RedisError

from services.gateway.context import Context
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.responses import loop_json_response
from services.gateway.schemas.catalog import Liveness, Readiness
from services.gateway.scopes import PUBLIC
from shared.web.routes import BufferedRequest, run_in_thread

TAG = Tag(name="health", description="Open Inference Protocol v2 health")
SHARED_S = 0.5  # a state that was asked for less than so long ago is an answer to further requests


def routes(context: Context) -> EventLoopBlueprint:
    """Return the routes of this resource."""
    api = EventLoopBlueprint("health", __name__, method="GET", abp_tags=[TAG])
    parts = PartStates(context)

    @api.get("/v2/health/live", security=PUBLIC, responses={200: Liveness})
    async def live(_: BufferedRequest) -> web.Response:
        """The gateway answers."""
        return loop_json_response(Liveness(live=True))

    @api.get("/v2/health/ready", security=PUBLIC, responses={200: Readiness, 503: Readiness})
    async def ready(request: BufferedRequest) -> web.Response:
        """Redis and at least one predictor answer, with or without a model.

        Clients without a token do not see `details` if tokens are required.
        """
        are_up = await parts.read()
        is_ready = are_up["redis"] and any(is_up for part, is_up in are_up.items() if part != "redis")
        details = {part: "up" if is_up else "down" for part, is_up in are_up.items()}
        body = Readiness(ready=is_ready, details=details if request.caller.scopes else None)
        return loop_json_response(body, 200 if is_ready else 503)

    return api


class PartStates:
    """Whether Redis and the predictors answer. However many clients ask, the parts are asked twice per second."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._states: asyncio.Task[dict[str, bool]] | None = None
        self._asked_s = 0.0

    async def read(self) -> dict[str, bool]:
        """Return for each part whether it answers. This takes at most about a second."""
        loop = asyncio.get_running_loop()
        if self._states is None or loop.time() - self._asked_s > SHARED_S:
            self._states, self._asked_s = loop.create_task(self._ask()), loop.time()
        return await asyncio.shield(self._states)  # a client that goes away does not end the others' question

    async def _ask(self) -> dict[str, bool]:
        redis, are_up = await asyncio.gather(
            run_in_thread(None, _redis_answers, self._context), self._context.dispatcher.find_backends_up()
        )
        return {"redis": redis, **are_up}


def _redis_answers(context: Context) -> bool:
    try:
        return bool(context.redis.ping())
    except RedisError:
        return False
