"""Renders the report of a load test as a page, a figure and a table, from the load test's JSON alone."""

import base64
import csv
import io
from pathlib import Path

from jinja2 import Environment

from services.gateway.reports.plots import colour_of, load_test_png
from shared.jobs.loadtests import LoadConditions, LoadFindings, LoadResult, LoadTestRequest

CSV_FIGURES = (
    *("target_qps", "achieved_qps", "queries", "blocks", "valid", "p50_ms", "p90_ms", "p99_ms", "p999_ms"),
    *("meets_bound", "late_p99_ms", "generator_p50_ms", "generator_p99_ms"),
    *("cpu_seconds_per_1000", "peak_memory_bytes"),
)
CSV_INTERVALS = ("achieved_qps", "p50_ms", "p90_ms", "p99_ms", "p999_ms")


class ReportConditions(LoadConditions):
    """The conditions of a finished load test.

    Attributes:
        overlapped: whether another run was under way during the load test.
    """

    overlapped: bool


class LoadTestReport(LoadFindings):
    """What the reports of a finished load test show: the response body of `/v1/loadtests/<id>` without its status.

    Attributes:
        model: name of the model.
        version: number of its version.
        request: the request, with every default filled in.
        created_at: time of submission, ISO 8601, UTC.
        note: what the figures may not be called.
        conditions: what was measured with, and on which machine.
    """

    model: str
    version: int
    request: LoadTestRequest
    created_at: str
    note: str
    conditions: ReportConditions


def render_html(report: LoadTestReport) -> str:
    """Return an HTML page with claims, figures, figure and conditions. It refers to no other file."""
    template = Path(__file__).with_name("loadtest_report.html").read_text()
    picture = base64.b64encode(render_png(report)).decode()
    # Older results have other parts.
    parts = dict.fromkeys(
        part for found in report.results.values() for result in found for part in result.time_split_ms
    )
    page = Environment(autoescape=True).from_string(template)
    return page.render(test=report, picture=picture, colour_of=colour_of, parts=list(parts))


def render_png(report: LoadTestReport) -> bytes:
    """Return the figure of `load_test_png`. Two of its panels show the rate of the claim."""
    return load_test_png(
        report.results,
        backends=report.conditions.backends,
        claimed_qps=report.comparisons[0].target_qps if report.comparisons else None,
        latency_bound_ms=report.request.latency_bound_ms,
        title=f"{report.model} version {report.version}, {report.request.scenario}. {report.note}",
    )


def render_csv(report: LoadTestReport) -> str:
    """Return a CSV table with a row for each backend and rate.

    The columns are the figures, the ends of their intervals, the number of errors, and the parts of the latency.
    """
    rows = [_row(side, result) | {"note": report.note} for side, found in report.results.items() for result in found]
    columns = dict.fromkeys(name for row in rows for name in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(side: str, result: LoadResult) -> dict[str, str | float | None]:
    figures = {name: getattr(result, name) for name in CSV_FIGURES}
    ends = {
        f"{name}_{end}": value
        for name in CSV_INTERVALS
        for end, value in zip(("low", "high"), result.intervals.get(name, (None, None)), strict=True)
    }
    parts = {f"{part}_ms": value for part, value in result.time_split_ms.items()}
    return {"backend": side, **figures, **ends, "errors": sum(result.errors.values()), **parts}
