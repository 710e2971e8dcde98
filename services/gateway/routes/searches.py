"""/v1/searches: trials of a training in every backend, and the best one published."""

import contextlib

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.reports.search_report import SearchReport, render_search
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.loadtests import REPORT_POLICY
from services.gateway.routes.responses import json_response
from services.gateway.routes.search_spaces import check_shared_training, check_space
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, file_of, submit_once
from services.gateway.schemas.searches import Search, Searches
from services.gateway.scopes import READ, TRAIN
from shared import names
from shared.data import datasets
from shared.errors import ConflictError, InvalidRequestError, NotFoundError
from shared.jobs.job_queue import PIPELINES
from shared.jobs.kinds import SEARCH, TRAINING
from shared.jobs.run_state import QUEUED
from shared.jobs.search_points import SearchPoints
from shared.jobs.search_space import SPACES
from shared.jobs.searches import MAX_TRIALS, SearchJob, SearchRequest, SearchRun

TAG = Tag(name="searches", description="Search for settings and networks, in every backend at once")
MAX_NAME = 63 - len(f"-trial-{MAX_TRIALS}")  # each trial's training has a name that begins with the search's


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this resource."""
    api = APIBlueprint("searches", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/searches/{identity}", Search.of(jobs.read(SEARCH, identity)))

    @api.post("/v1/searches", security=TRAIN, responses={202: Search})
    def submit(header: IdempotencyHeader, body: SearchRequest) -> Response:
        """Search for the best settings: train trials in every backend, then publish the winner."""
        return answer(submit_once(jobs, SEARCH, header, (body,), lambda: _new_search(context, body)))

    @api.get("/v1/searches", security=READ, responses={200: Searches})
    def listing(query: ListingQuery) -> Response:
        """List the searches, newest first, without their trials."""
        page = jobs.list_page(SEARCH, query.to_page())
        found = [Search.of(record, has_trials=False) for record in page.records]
        return json_response(Searches(searches=found, next=page.next))

    @api.get("/v1/searches/<id>", security=READ, responses={200: Search})
    def read(path: WorkPath) -> Response:
        """Return a search: its trials so far, and its winner once it has succeeded."""
        return json_response(Search.of(jobs.read(SEARCH, path.id)))

    @api.post("/v1/searches/<id>/cancel", security=TRAIN, responses={202: Search})
    def cancel(path: WorkPath) -> Response:
        """End a search, and the training that it waits for. Its trials so far are kept."""
        jobs.cancel(SEARCH, path.id)
        _cancel_trainings(context, path.id)
        return answer(path.id)

    @api.get(
        "/v1/searches/<id>/report.html",
        security=READ,
        responses=file_of("text/html", "a page that refers to no other file"),
    )
    def html(path: WorkPath) -> Response:
        """Return the report as a page: the winner, the trials, what mattered, and whether the backends agree."""
        search = Search.of(jobs.read(SEARCH, path.id))
        if not any(trial.steps for trial in search.trials):
            raise ConflictError(
                f"the search is {search.status}, and no trial has finished an epoch: there is nothing to report"
            )
        response = make_response(
            context.reports.find_or_draw(
                "search", search, lambda: render_search(SearchReport.model_validate(search.model_dump()))
            )
        )
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        response.headers["Content-Security-Policy"] = REPORT_POLICY
        return response

    return api


def _cancel_trainings(context: Context, identity: str) -> None:
    """Cancel the trainings that a cancelled search waits for, in case its process is down."""
    for run in context.jobs.read(SEARCH, identity).runs.values():
        trainings = [trial.training for trial in run.trials if trial.status == "running"]
        if run.winner:
            trainings.append(run.winner.training)
        for training in filter(None, trainings):
            with contextlib.suppress(ConflictError, NotFoundError):
                context.jobs.cancel(TRAINING, training)


def _new_search(context: Context, body: SearchRequest) -> Submission[SearchJob]:
    """Check a request, and return what it submits.

    Raises:
        InvalidRequestError: the space, the shared fields, the backends or the name cannot be used.
        NotFoundError: there is no such dataset.
        MissingDatasetError: the dataset is not on this machine.
    """
    backends = context.choose_backends(body.backends)
    dataset = datasets.find(body.dataset, context.settings)
    name = body.name or f"search-{dataset.name}"
    if problem := names.problem_with_model_name(name, context.settings.backends):
        raise InvalidRequestError(problem if body.name else f"{problem}; give the search a `name`")
    if len(name) > MAX_NAME:
        raise InvalidRequestError(
            f"the name {name!r} has {len(name)} characters: give the search a `name` of at most {MAX_NAME}, because "
            "the names of its trainings are longer"
        )
    check_shared_training(body.training, dataset)
    space = SPACES[body.space] if isinstance(body.space, str) else body.space
    warnings = check_space(SearchPoints(space, body.training), dataset)
    context.require_data(dataset)
    job = SearchJob(
        request=body.model_copy(update={"name": name, "backends": list(backends)}),
        name=name,
        space=space,
        input_shape=dataset.shape,
        classes=len(dataset.classes),
        data_version=dataset.version,
        warnings=warnings,
    )
    return Submission(job, {PIPELINES: SearchRun(status=QUEUED)})
