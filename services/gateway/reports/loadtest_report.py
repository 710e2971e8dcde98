"""A load test's report, made of its JSON alone: a page, a picture, a table."""

import base64
import csv as tables
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment

from services.gateway.reports.plots import colour_of, load_test_png

COLUMNS = (
    *("target_qps", "achieved_qps", "queries", "blocks", "valid", "p50_ms", "p90_ms", "p99_ms", "p999_ms"),
    *("meets_bound", "late_p99_ms", "cpu_seconds_per_1000", "peak_memory_bytes"),
)
INTERVALS = ("achieved_qps", "p50_ms", "p90_ms", "p99_ms", "p999_ms")

png = load_test_png


def html(test: dict[str, Any]) -> str:
    """A page that needs nothing else: claims, figures, the picture, conditions."""
    page = Environment(autoescape=True).from_string(Path(__file__).with_name("report.html").read_text())
    picture = base64.b64encode(png(test)).decode()
    return page.render(test=test, picture=picture, colour_of=colour_of)


def csv(test: dict[str, Any]) -> str:
    """A row for each backend and rate; after the figures the ends of their intervals, errors, and the time split."""
    file = io.StringIO()
    rows = [
        _row(side, entry) | {"note": test["note"]} for side, entries in test["results"].items() for entry in entries
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    writer = tables.DictWriter(file, list(names), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(side: str, entry: dict[str, Any]) -> dict[str, Any]:
    ends = {
        f"{name}_{end}": value
        for name in INTERVALS
        for end, value in zip(("low", "high"), entry["intervals"].get(name, (None, None)), strict=True)
    }
    errors = {"errors": sum(entry["errors"].values())}
    split = {f"{part}_ms": value for part, value in entry["time_split_ms"].items()}
    return {"backend": side, **{name: entry[name] for name in COLUMNS}, **ends, **errors, **split}
