"""Renders the report of a search as a page, from the search's JSON alone."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment
from pydantic import BaseModel

from services.gateway.reports.search_plots import describe_value, search_png
from shared.jobs.payloads import Status
from shared.jobs.searches import BackendAgreement, SearchProgress, SearchTrial, SearchWinner


class SearchReport(BaseModel):
    """What the report of a search shows: fields of the response body of `/v1/searches/<id>`, with the same meaning."""

    id: str
    status: Status
    name: str
    request: dict[str, Any]
    created_at: str
    error: str | None
    warnings: list[str]
    progress: SearchProgress | None
    trials: list[SearchTrial]
    best: int | None
    importance: dict[str, float] | None
    agreement: list[BackendAgreement]
    winner: SearchWinner | None


def render_search(report: SearchReport) -> str:
    """Return an HTML page with the winner, the figure, and tables of all trials. It refers to no other file."""
    template = Path(__file__).with_name("search_report.html").read_text()
    picture = search_png(report.trials, report.importance, report.agreement, report.best)
    environment = Environment(autoescape=True)
    environment.filters["value"] = describe_value
    return environment.from_string(template).render(
        search=report,
        picture=base64.b64encode(picture).decode(),
        paths=list(dict.fromkeys(path for trial in report.trials for path in trial.parameters)),
        best=next((trial for trial in report.trials if trial.number == report.best), None),
    )
