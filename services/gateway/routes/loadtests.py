"""Routes of /v1/loadtests: submit, read and cancel load tests, and fetch their reports."""

from collections.abc import Callable
from typing import Any

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.reports.loadtest_report import LoadTestReport, render_csv, render_html, render_png
from services.gateway.routes.submissions import OnceHeader, WorkPath, accepted, file_of
from services.gateway.schemas.loadtests import LoadTest
from shared.data import datasets
from shared.errors import ConflictError, InvalidRequestError
from shared.jobs.job_queue import LOADTEST
from shared.jobs.loadtests import LoadTestRequest
from shared.jobs.run_state import SUCCEEDED

TAG = Tag(name="load tests", description="Latency and throughput of the backends under the same load")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of load tests."""
    api = APIBlueprint("loadtests", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        load_test = _parse_record(jobs.read(LOADTEST, identity))
        return accepted(f"/v1/loadtests/{identity}", load_test.model_dump(mode="json"))

    def report(identity: str, render: Callable[[LoadTestReport], str | bytes], media_type: str) -> Response:
        load_test = _parse_record(jobs.read(LOADTEST, identity))
        if load_test.status != SUCCEEDED:
            raise ConflictError(f"the load test is {load_test.status}: only a load test that succeeded has a report")
        response = make_response(render(LoadTestReport.model_validate(load_test.model_dump())))
        response.headers["Content-Type"] = media_type
        return response

    @api.post("/v1/loadtests", responses={202: LoadTest})
    def submit(header: OnceHeader, body: LoadTestRequest) -> Response:
        """Send the same requests at the same times to each backend, in balanced order."""
        once = header.once(body)
        if once and (first := jobs.first(LOADTEST, once)):
            return answer(first)
        sides = _sides(context, body.backends)
        backends = tuple(dict.fromkeys(sides.values()))
        version = context.addresses.resolve_version(body.model, backends, body.version)
        manifests = {backend: context.registry.manifest(body.model, backend, version) for backend in backends}
        data = manifests[backends[0]].data.dataset
        context.require_data(datasets.find(data, context.settings))
        _check_duration(body, len(sides), context.settings.job_timeout_s)
        record = {
            "request": {**body.model_dump(mode="json"), "backends": list(sides.values())},
            "model": body.model,
            "version": version,
            "dataset": data,
            "sides": sides,
            "models": {
                backend: {name: file.model_dump() for name, file in manifest.files.items()}
                for backend, manifest in manifests.items()
            },
        }
        return answer(jobs.submit(LOADTEST, record, {LOADTEST: {}}, once=once))

    @api.get("/v1/loadtests/<id>", responses={200: LoadTest})
    def read(path: WorkPath) -> dict[str, Any]:
        """Return the progress of a load test, and its results once it has succeeded."""
        return _parse_record(jobs.read(LOADTEST, path.id)).model_dump(mode="json")

    @api.post("/v1/loadtests/<id>/cancel", responses={202: LoadTest})
    def cancel(path: WorkPath) -> Response:
        """End a load test at once."""
        jobs.cancel(LOADTEST, path.id)
        return answer(path.id)

    @api.get("/v1/loadtests/<id>/report.html", responses=file_of("text/html", "a page that refers to no other file"))
    def html(path: WorkPath) -> Response:
        """Return the report as a page: claims, figures, diagrams and conditions."""
        return report(path.id, render_html, "text/html; charset=utf-8")

    @api.get("/v1/loadtests/<id>/report.png", responses=file_of("image/png", "a figure"))
    def png(path: WorkPath) -> Response:
        """Draw latency by rate, its distribution, latency over time, and where the time was spent."""
        return report(path.id, render_png, "image/png")

    @api.get("/v1/loadtests/<id>/report.csv", responses=file_of("text/csv", "a row for each backend and rate"))
    def csv(path: WorkPath) -> Response:
        """Return the figures as a table."""
        return report(path.id, render_csv, "text/csv; charset=utf-8")

    return api


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


def _parse_record(record: dict[str, Any]) -> LoadTest:
    """Return the load test of a record and its only run, as they are stored in Redis."""
    run = record["runs"][LOADTEST]
    if run.get("conditions"):
        run["conditions"]["overlapped"] = run["overlapped"]
    return LoadTest.model_validate({**record, **run, "status": record["status"]})
