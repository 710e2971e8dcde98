"""What all routes of long work share: paths, headers, the 202 answer and idempotent submission."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Generic

from flask import Response
from pydantic import BaseModel, Field

from services.gateway.routes.path_values import WorkId
from services.gateway.routes.responses import json_response
from shared.jobs.job_queue import IdempotencyKey, JobQueue
from shared.jobs.kinds import JobT, Kind, PairT, RunT
from shared.jobs.results import RunState

POLL_AFTER_S = 1


class IdempotencyHeader(BaseModel):
    """The header that makes it safe to repeat a submission (draft-ietf-httpapi-idempotency-key-header)."""

    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="for a day, a repeated key returns the work that was submitted first, and submits nothing",
        ),
    ] = None

    def key_of(self, *request: BaseModel) -> IdempotencyKey | None:
        """Return the key with a digest of the request's parts, or None if the client sent no key."""
        if not self.idempotency_key:
            return None
        return IdempotencyKey.of(self.idempotency_key, [part.model_dump(mode="json") for part in request])


class WorkPath(BaseModel):
    """The path of one piece of long work."""

    id: WorkId


@dataclass(frozen=True)
class Submission(Generic[JobT]):
    """New work to submit.

    Attributes:
        job: what was asked for.
        runs: for each backend, the state that its run begins with.
        newest_published: if the job needs a new version of a model, the newest published one; 0 if there is none.
    """

    job: JobT
    runs: Mapping[str, RunState]
    newest_published: int | None = None


def submit_once(
    jobs: JobQueue,
    kind: Kind[JobT, RunT, PairT],
    header: IdempotencyHeader,
    request: tuple[BaseModel, ...],
    build: Callable[[], Submission[JobT]],
) -> str:
    """Submit work, unless the same Idempotency-Key submitted it before.

    Args:
        jobs: where the work is submitted.
        kind: the kind of work.
        header: the request's header, which may hold a key.
        request: the parts of the request that identify it: its path, if that matters, and its body.
        build: checks the request and makes the submission. It is called only when the key is new.

    Returns:
        The id of the new work, or of the work that the key submitted first.

    Raises:
        InvalidRequestError: the key came with another request before.
    """
    key = header.key_of(*request)
    if key and (first := jobs.find_submitted(kind, key)):
        return first
    new = build()
    return jobs.submit(kind, new.job, new.runs, newest_published=new.newest_published, idempotency_key=key)


def file_of(media_type: str, description: str) -> dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]:
    """Return the OpenAPI responses of a route that answers with a file."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}}


def accepted(location: str, body: BaseModel) -> Response:
    """Return a 202 response: the work is queued, and `location` is the URL that shows its state."""
    response = json_response(body, 202)
    response.headers["Location"] = location
    response.headers["Retry-After"] = str(POLL_AFTER_S)
    return response
