"""/v1/{kind}/{id}/events: the state of a job whenever it changes, as server-sent events.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections.abc import AsyncGenerator, Callable

from aiohttp import web
from flask_openapi3 import Tag

from services.gateway.context import Context
from services.gateway.feeds.job_feeds import JobState, Watch
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.submissions import WorkPath
from services.gateway.schemas.catalog import Deletion, Transplant
from services.gateway.schemas.certificates import Certificate
from services.gateway.schemas.evaluations import Evaluation
from services.gateway.schemas.exports import Export
from services.gateway.schemas.loadtests import LoadTest
from services.gateway.schemas.releases import Release
from services.gateway.schemas.searches import Search
from services.gateway.schemas.trainings import Training
from services.gateway.scopes import READ
from shared.jobs.kinds import (
    CERTIFICATE,
    DELETION,
    EVALUATION,
    EXPORT,
    LOAD_TEST,
    RELEASE,
    SEARCH,
    TRAINING,
    TRANSPLANT,
    JobRecord,
    JobT,
    Kind,
    PairT,
    RunT,
)
from shared.jobs.payloads import ResponseBody
from shared.jobs.run_state import OPEN
from shared.web.routes import BufferedRequest
from shared.web.streams import StreamedResponse

TAG = Tag(name="events", description="Watch a job: its state whenever it changes")
MEDIA_TYPE = "text/event-stream"
RETRY_MS = 1000  # after which a client connects again if its stream ends before the job
# Proxies that understand X-Accel-Buffering (nginx) pass each event on at once.
HEADERS = {"Content-Type": MEDIA_TYPE, "X-Accel-Buffering": "no"}
HEARTBEAT = b": \n\n"  # a comment
STREAM = {
    "description": "events named `state`. The `data` of each is the body of the same address without `/events`. The "
    "first event comes at once, and the stream ends behind the event in which the job has ended. Comments keep the "
    "connection open. A slow client misses states, but never the newest.",
    "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
}
NOTHING_NEW = {
    "description": "the job has ended, and `Last-Event-ID` is the id of its last event: a browser stops connecting"
}


def routes(context: Context) -> EventLoopBlueprint:
    """Return the routes of this module."""
    api = EventLoopBlueprint("events", __name__, method="GET", is_stream=True, abp_tags=[TAG])

    def declare(
        kind: Kind[JobT, RunT, PairT], path: str, body_of: Callable[[JobRecord[JobT, RunT, PairT]], ResponseBody]
    ) -> None:
        """Declare the route of one kind of job."""

        def read(identity: str) -> JobState:
            record = context.jobs.read(kind, identity)
            return JobState.of(body_of(record).model_dump_json().encode(), record.status not in OPEN)

        async def watch(request: BufferedRequest, path: WorkPath) -> web.StreamResponse:
            """Watch a job: its state now, and whenever it changes, until it ends."""
            found = await context.feeds.watch(kind.name, path.id, lambda: read(path.id), request.caller.key)
            if found.first.has_ended and request.headers.get("Last-Event-ID") == found.first.digest:
                found.close()
                return web.Response(status=204)
            return StreamedResponse(_write_events(found), HEADERS, found.close)

        watch.__name__ = f"watch_{kind.name}"
        api.get(f"/v1/{path}/<id>/events", security=READ, responses={200: STREAM, 204: NOTHING_NEW})(watch)

    declare(TRAINING, "trainings", Training.of)
    declare(EVALUATION, "evaluations", Evaluation.of)
    declare(CERTIFICATE, "certificates", Certificate.of)
    declare(LOAD_TEST, "loadtests", LoadTest.of)
    declare(SEARCH, "searches", Search.of)
    declare(TRANSPLANT, "transplants", Transplant.of)
    declare(EXPORT, "exports", Export.of)
    declare(DELETION, "deletions", Deletion.of)
    declare(RELEASE, "releases", Release.of)
    return api


async def _write_events(watch: Watch) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a stream."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    async for state in watch.follow():
        yield (
            HEARTBEAT if state is None else b"id: %b\nevent: state\ndata: %b\n\n" % (state.digest.encode(), state.body)
        )
