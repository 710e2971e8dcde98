"""/v1/loadtests: the same arrivals against every backend, and reports of what came of it."""

from collections.abc import Callable

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.reports.loadtest_report import LoadTestReport, render_csv, render_html, render_png
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, file_of, submit_once
from services.gateway.schemas.loadtests import LoadTest, LoadTests
from services.gateway.scopes import READ, TRAIN
from shared.errors import ConflictError, InvalidRequestError
from shared.jobs.job_queue import LOADTEST
from shared.jobs.kinds import LOAD_TEST
from shared.jobs.loadtests import LoadTestJob, LoadTestRequest
from shared.jobs.results import RunState
from shared.jobs.run_state import QUEUED, SUCCEEDED

# The page's styles and its figure are inside it. It has no script.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
TAG = Tag(name="load tests", description="Which backend holds up better")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this resource."""
    api = APIBlueprint("loadtests", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/loadtests/{identity}", LoadTest.of(jobs.read(LOAD_TEST, identity)))

    def report(identity: str, render: Callable[[LoadTestReport], str | bytes], media_type: str) -> Response:
        load_test = LoadTest.of(jobs.read(LOAD_TEST, identity))
        if load_test.status != SUCCEEDED:
            raise ConflictError(f"the load test is {load_test.status}: only a load test that succeeded has a report")
        response = make_response(
            context.reports.find_or_draw(
                render.__name__, load_test, lambda: render(LoadTestReport.model_validate(load_test.model_dump()))
            )
        )
        response.headers["Content-Type"] = media_type
        response.headers["Content-Security-Policy"] = REPORT_POLICY
        return response

    @api.post("/v1/loadtests", security=TRAIN, responses={202: LoadTest})
    def submit(header: IdempotencyHeader, body: LoadTestRequest) -> Response:
        """Send the same requests at the same times to each backend, in balanced order."""
        return answer(submit_once(jobs, LOAD_TEST, header, (body,), lambda: _new_load_test(context, body)))

    @api.get("/v1/loadtests", security=READ, responses={200: LoadTests})
    def listing(query: ListingQuery) -> Response:
        """List the load tests, newest first."""
        page = jobs.list_page(LOAD_TEST, query.to_page())
        return json_response(LoadTests(loadtests=[LoadTest.of(record) for record in page.records], next=page.next))

    @api.get("/v1/loadtests/<id>", security=READ, responses={200: LoadTest})
    def read(path: WorkPath) -> Response:
        """Return the progress of a load test, and its results once it has succeeded."""
        return json_response(LoadTest.of(jobs.read(LOAD_TEST, path.id)))

    @api.post("/v1/loadtests/<id>/cancel", security=TRAIN, responses={202: LoadTest})
    def cancel(path: WorkPath) -> Response:
        """End a load test at once."""
        jobs.cancel(LOAD_TEST, path.id)
        return answer(path.id)

    @api.get(
        "/v1/loadtests/<id>/report.html",
        security=READ,
        responses=file_of("text/html", "a page that refers to no other file"),
    )
    def html(path: WorkPath) -> Response:
        """Return the report as a page: claims, figures, diagrams and conditions."""
        return report(path.id, render_html, "text/html; charset=utf-8")

    @api.get("/v1/loadtests/<id>/report.png", security=READ, responses=file_of("image/png", "a figure"))
    def png(path: WorkPath) -> Response:
        """Draw latency by rate, its distribution, latency over time, and where the time was spent."""
        return report(path.id, render_png, "image/png")

    @api.get(
        "/v1/loadtests/<id>/report.csv", security=READ, responses=file_of("text/csv", "a row for each backend and rate")
    )
    def csv(path: WorkPath) -> Response:
        """Return the figures as a table."""
        return report(path.id, render_csv, "text/csv; charset=utf-8")

    return api


def _new_load_test(context: Context, body: LoadTestRequest) -> Submission[LoadTestJob]:
    """Check the request and make the submission.

    Raises:
        TandemError: the request cannot be measured.
    """
    sides = _sides(context, body.backends)
    backends = tuple(dict.fromkeys(sides.values()))
    version = context.addresses.resolve_version(body.model, backends, body.version)
    manifests = {backend: context.registry.manifest(body.model, backend, version) for backend in backends}
    data = manifests[backends[0]].data.dataset
    context.require_data(context.find_training_data(data))
    _check_duration(body, len(sides), context.settings.job_timeout_s)
    job = LoadTestJob(
        kind="loadtest",
        request=body.model_copy(update={"backends": list(sides.values())}),
        model=body.model,
        version=version,
        dataset=data,
        sides=sides,
        models={backend: manifest.files for backend, manifest in manifests.items()},
    )
    return Submission(job, {LOADTEST: RunState(status=QUEUED)})


def _sides(context: Context, asked: list[str] | None) -> dict[str, str]:
    """Return the name and the backend of each side. One backend that is named twice gives the sides of an A/A test."""
    if asked and len(asked) == 2 and asked[0] == asked[1]:
        (backend,) = context.choose_backends(asked[:1])
        return {backend: backend, f"{backend} again": backend}
    return {backend: backend for backend in context.choose_backends(asked)}


def _check_duration(body: LoadTestRequest, sides: int, timeout_s: int) -> None:
    rates = len(body.target_qps) if isinstance(body.target_qps, list) else 1
    whole_s = sides * rates * body.duration_s
    if whole_s > timeout_s:
        raise InvalidRequestError(
            f"{sides} backends at {rates} rates for {body.duration_s:g} s each take {whole_s:,.0f} s, but a job may "
            f"take at most {timeout_s:,} s (TANDEM_JOB_TIMEOUT_S): shorten duration_s, or name fewer rates"
        )
